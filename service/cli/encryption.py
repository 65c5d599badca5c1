"""`onionskin encryption`: create and rotate master keys, encrypt existing data."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from onionskin.memory.errors import ConfigurationError, OnionskinError
from onionskin.service.cli.options import AsJson, example
from onionskin.service.console import progress, remark, say, say_json

if TYPE_CHECKING:
    from onionskin.memory.store import Connection, EncryptionProgress, RedisStore, RotationProgress

T = TypeVar("T")
app = typer.Typer(
    help="Encryption at rest: create and rotate master keys, encrypt existing data.",
    no_args_is_help=True,
    epilog=example("onionskin encryption key 2026-11"),
)
KeyId = Annotated[str, typer.Argument(help="Id of a master key.")]
_OLD_COPIES = (
    "Older copies (append-only file, snapshots, backups) are still plain: rewrite the file with "
    "BGREWRITEAOF, and delete the others."
)


@app.command(epilog=example("onionskin encryption key 2026-11"))
def key(key_id: KeyId, *, as_json: AsJson = False) -> None:
    """Create a master key for ONIONSKIN_ENCRYPTION_KEYS. It is not stored."""
    from onionskin.memory.store import generate_master_key

    master_key = generate_master_key(key_id)
    if as_json:
        say_json({"id": key_id, "key": master_key})
    else:
        say(master_key)


@app.command(epilog=example("onionskin encryption rotate"))
def rotate(*, as_json: AsJson = False) -> None:
    """Wrap every user's data key with the first master key. If interrupted, run it again."""
    rotation = _migrate(
        lambda store, show: store.encryption.rotate_master_key(
            on_progress=lambda current: show(_rotation_text(current))
        )
    )
    if as_json:
        say_json(asdict(rotation))
    else:
        say(_rotation_text(rotation))
    if rotation.failed:
        raise OnionskinError("The keys that failed need the master key that wraps them.")
    for key_id in () if as_json else rotation.dropped:
        say(f"Master key {key_id!r} wraps no data key any more: remove it.")


@app.command(epilog=example("onionskin encryption seal"))
def seal(*, as_json: AsJson = False) -> None:
    """Encrypt data that was stored before there were keys. If interrupted, run it again."""
    sealing = _migrate(
        lambda store, show: store.encryption.encrypt_existing(
            on_progress=lambda current: show(_sealing_text(current))
        )
    )
    is_rewritten = _rewrite_embedded()
    if as_json:
        say_json({**asdict(sealing), "compacted": is_rewritten})
        return
    say(_sealing_text(sealing))
    remark(
        "The append-only file was rewritten; delete older copies." if is_rewritten else _OLD_COPIES
    )


@app.command(epilog=example("onionskin encryption forget 2025-11"))
def forget(key_id: KeyId, *, as_json: AsJson = False) -> None:
    """Declare a master key lost: its data stay unreadable, and the service starts without it."""
    from onionskin.memory.store import MasterKeyRegistry
    from onionskin.service.factories import with_redis

    if not with_redis(lambda connection: MasterKeyRegistry(connection).forget(key_id)):
        raise OnionskinError(f"Master key {key_id!r} is not in use here.")
    if as_json:
        say_json({"forgotten": key_id})
    else:
        say(f"Master key {key_id!r} is no longer required.")


def _migrate(migration: "Callable[[RedisStore, Callable[[str], None]], Awaitable[T]]") -> T:
    """Run a migration over all users, with progress.

    Args:
        migration: Gets the store and a function that shows a text as progress.
    """
    from rich.progress import SpinnerColumn, TextColumn

    from onionskin.memory.store import Keyring, RedisStore
    from onionskin.service.factories import master_keys, with_redis
    from onionskin.service.settings import load_settings

    masters = master_keys(load_settings())
    if masters is None:
        raise ConfigurationError("There are no keys: set ONIONSKIN_ENCRYPTION_KEYS.")

    async def run(connection: "Connection") -> T:
        with progress(SpinnerColumn(), TextColumn("{task.description}")) as bar:
            task = bar.add_task("")
            keyring = await Keyring.open(connection, masters)
            store = RedisStore(connection, embedder_tag="", keyring=keyring)
            return await migration(store, lambda text: bar.update(task, description=text))

    return with_redis(run)


def _rewrite_embedded() -> bool:
    """Rewrite the append-only file of an embedded Redis; returns whether Redis is embedded."""
    from onionskin.memory.store import AofRewrite
    from onionskin.service.factories import with_redis
    from onionskin.service.settings import load_settings

    if load_settings().redis_url:
        return False
    with_redis(lambda connection: AofRewrite(connection).run())
    return True


def _rotation_text(rotation: "RotationProgress") -> str:
    failed = f", {rotation.failed} cannot be opened" if rotation.failed else ""
    return f"{rotation.rewrapped} data keys rewrapped, of {rotation.seen}{failed}."


def _sealing_text(sealing: "EncryptionProgress") -> str:
    return f"{sealing.sealed} values encrypted, in {sealing.seen} Redis keys."
