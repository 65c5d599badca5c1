"""What `strata encryption` does to all users at once, and how it goes."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from rich.progress import SpinnerColumn, TextColumn

from memory.errors import ConfigurationError
from memory.store import Connection, RedisStore
from memory.store.compacting import compact
from memory.store.encryption import open_keyring
from memory.store.resealing import Sealing, seal_everything
from memory.store.rotating import Rotation, rotate_master_key
from service.choices import master_keys
from service.joining import with_redis
from service.loading import load_settings
from service.printing import progress

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
        lambda store, show: seal_everything(store, tell=lambda one: show(sealing_told(one)))
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
        raise ConfigurationError("There are no keys: set STRATA_ENCRYPTION_KEYS.")

    async def run(connection: Connection) -> T:
        with progress(SpinnerColumn(), TextColumn("{task.description}")) as shown:
            task = shown.add_task("")
            keyring = await open_keyring(connection, masters)
            store = RedisStore(connection, embedder_tag="", keyring=keyring)
            return await work(store, lambda text: shown.update(task, description=text))

    return with_redis(run)
