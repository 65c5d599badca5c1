"""`strata encryption`: master keys made and rotated, and plain data sealed."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from memory.errors import ConfigurationError, StrataError
from memory.store import Connection, RedisStore
from memory.store.compacting import compact
from memory.store.encryption import forget_master_key, open_keyring
from memory.store.master_keys import drawn_master_key
from memory.store.resealing import Sealing, seal_everything
from memory.store.rotating import Rotation, rotate_master_key
from service.choices import master_keys
from service.joining import with_redis
from service.loading import load_settings

app = typer.Typer(
    help="Encryption at rest: make master keys, rotate them, seal plain data.",
    no_args_is_help=True,
)
T = TypeVar("T")
KeyId = Annotated[str, typer.Argument(help="The id of a master key.")]
_COMPACT = (
    "Copies of before (append-only file, snapshots, backups) stay as they were: rewrite the file "
    "with BGREWRITEAOF, and delete the others."
)


@app.command()
def key(key_id: KeyId) -> None:
    """Draw a master key, as STRATA_ENCRYPTION_KEYS takes it. It is stored nowhere."""
    print(drawn_master_key(key_id))  # noqa: T201


@app.command()
def rotate() -> None:
    """Wrap every user's data key by the first of the master keys; run again if it was stopped."""
    done = _told(lambda store, show: rotate_master_key(store, tell=lambda one: show(_rotated(one))))
    console = Console()
    console.print(_rotated(done), highlight=False)
    if done.failed:
        raise StrataError("Those that do not open need the master key that wraps them.")
    for one in done.dropped:
        console.print(f"Master key {one!r} wraps nothing any more: drop it.", highlight=False)


@app.command()
def seal() -> None:
    """Seal what was stored before there were keys; run again if it was stopped."""
    done = _told(lambda store, show: seal_everything(store, tell=lambda one: show(_sealed(one))))
    console = Console()
    console.print(_sealed(done), highlight=False)
    if load_settings().redis_url:
        console.print(_COMPACT, highlight=False)
    else:
        with_redis(compact)
        console.print("The append-only file was rewritten; delete older copies.", highlight=False)


@app.command()
def forget(key_id: KeyId) -> None:
    """Take a master key for lost: what it wraps stays shut, and the service starts without it."""
    if not with_redis(lambda connection: forget_master_key(connection, key_id)):
        raise StrataError(f"Master key {key_id!r} is not in use here.")
    Console().print(f"Master key {key_id!r} is not asked for any more.", highlight=False)


def _told(work: Callable[[RedisStore, Callable[[str], None]], Awaitable[T]]) -> T:
    """Do something to all users, and show how it goes."""
    masters = master_keys(load_settings())
    if masters is None:
        raise ConfigurationError("There are no keys: set STRATA_ENCRYPTION_KEYS.")

    async def run(connection: Connection) -> T:
        columns = (SpinnerColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("")
            keyring = await open_keyring(connection, masters)
            store = RedisStore(connection, embedder_tag="", keyring=keyring)
            return await work(store, lambda text: progress.update(task, description=text))

    return with_redis(run)


def _rotated(rotation: Rotation) -> str:
    failed = f", {rotation.failed} do not open" if rotation.failed else ""
    return f"{rotation.rewrapped} data keys wrapped anew, of {rotation.seen}{failed}."


def _sealed(sealing: Sealing) -> str:
    return f"{sealing.sealed} values sealed, in {sealing.seen} keys of Redis."
