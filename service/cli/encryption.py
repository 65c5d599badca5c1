"""`onionskin encryption`: master keys made and rotated, and plain data sealed.

What `onionskin encryption` does to all users at once, and how it goes.
"""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, TypeVar

import typer
from rich.progress import SpinnerColumn, TextColumn

from onionskin.memory.errors import ConfigurationError, OnionskinError
from onionskin.memory.store import Connection, RedisStore
from onionskin.memory.store.aof_rewrite import compact
from onionskin.memory.store.encryption.keyring import open_keyring
from onionskin.memory.store.encryption.migrations import (
    Rotation,
    Sealing,
    encrypt_existing,
    rotate_master_key,
)
from onionskin.service.cli.options import AsJson, example
from onionskin.service.console import progress, remark, say, say_json
from onionskin.service.factories import master_keys, with_redis
from onionskin.service.settings import load_settings

app = typer.Typer(
    help="Encryption at rest: make master keys, rotate them, seal plain data.",
    no_args_is_help=True,
    epilog=example("onionskin encryption key 2026-11"),
)
KeyId = Annotated[str, typer.Argument(help="The id of a master key.")]
_COMPACT = (
    "Copies of before (append-only file, snapshots, backups) stay as they were: rewrite the file "
    "with BGREWRITEAOF, and delete the others."
)


@app.command(epilog=example("onionskin encryption key 2026-11"))
def key(key_id: KeyId, *, as_json: AsJson = False) -> None:
    """Draw a master key, as ONIONSKIN_ENCRYPTION_KEYS takes it. It is stored nowhere."""
    from onionskin.memory.store.encryption.master_keys import drawn_master_key

    drawn = drawn_master_key(key_id)
    if as_json:
        say_json({"id": key_id, "key": drawn})
    else:
        say(drawn)


@app.command(epilog=example("onionskin encryption rotate"))
def rotate(*, as_json: AsJson = False) -> None:
    """Wrap every user's data key by the first of the master keys; run again if it was stopped."""
    done = rotate_all()
    if as_json:
        say_json(asdict(done))
    else:
        say(rotation_told(done))
    if done.failed:
        raise OnionskinError("Those that do not open need the master key that wraps them.")
    for one in () if as_json else done.dropped:
        say(f"Master key {one!r} wraps nothing any more: drop it.")


@app.command(epilog=example("onionskin encryption seal"))
def seal(*, as_json: AsJson = False) -> None:
    """Seal what was stored before there were keys; run again if it was stopped."""
    done = seal_all()
    compacted = rewritten()
    if as_json:
        say_json({**asdict(done), "compacted": compacted})
        return
    say(sealing_told(done))
    remark("The append-only file was rewritten; delete older copies." if compacted else _COMPACT)


@app.command(epilog=example("onionskin encryption forget 2025-11"))
def forget(key_id: KeyId, *, as_json: AsJson = False) -> None:
    """Take a master key for lost: what it wraps stays shut, and the service starts without it."""
    from onionskin.memory.store.encryption.keyring import forget_master_key
    from onionskin.service.factories import with_redis

    if not with_redis(lambda connection: forget_master_key(connection, key_id)):
        raise OnionskinError(f"Master key {key_id!r} is not in use here.")
    if as_json:
        say_json({"forgotten": key_id})
    else:
        say(f"Master key {key_id!r} is not asked for any more.")


T = TypeVar("T")


def rotate_all() -> Rotation:
    """Wrap every data key by the first of the master keys.

    Raises:
        ConfigurationError: there are no keys.
    """
    return _shown(
        lambda store, show: rotate_master_key(store, tell=lambda one: show(rotation_told(one)))
    )


def seal_all() -> Sealing:
    """Seal all that is plain.

    Raises:
        ConfigurationError: there are no keys.
    """
    return _shown(
        lambda store, show: encrypt_existing(store, tell=lambda one: show(sealing_told(one)))
    )


def rewritten() -> bool:
    """Have an embedded Redis rewrite its file; whether it is embedded."""
    if load_settings().redis_url:
        return False
    with_redis(compact)
    return True


def rotation_told(rotation: Rotation) -> str:
    """A rotation, for people."""
    failed = f", {rotation.failed} do not open" if rotation.failed else ""
    return f"{rotation.rewrapped} data keys wrapped anew, of {rotation.seen}{failed}."


def sealing_told(sealing: Sealing) -> str:
    """A sealing, for people."""
    return f"{sealing.sealed} values sealed, in {sealing.seen} keys of Redis."


def _shown(work: Callable[[RedisStore, Callable[[str], None]], Awaitable[T]]) -> T:
    """Do something to all users, and show how it goes."""
    masters = master_keys(load_settings())
    if masters is None:
        raise ConfigurationError("There are no keys: set ONIONSKIN_ENCRYPTION_KEYS.")

    async def run(connection: Connection) -> T:
        with progress(SpinnerColumn(), TextColumn("{task.description}")) as shown:
            task = shown.add_task("")
            keyring = await open_keyring(connection, masters)
            store = RedisStore(connection, embedder_tag="", keyring=keyring)
            return await work(store, lambda text: shown.update(task, description=text))

    return with_redis(run)
