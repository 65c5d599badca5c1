"""Rotating the master key: every user's data key is wrapped anew, and no value is touched.

What is wrapped by the newest master key is passed over, so that a run that was killed is simply run
again; each data key is replaced at one instant.
"""

from collections.abc import Callable
from dataclasses import dataclass

from memory.errors import ConfigurationError, SealedError
from memory.store import keys
from memory.store.encryption import keep_checks
from memory.store.master_keys import MasterKeys, names_of
from memory.store.redis import RedisStore
from memory.store.scripts import Script
from memory.store.users import scan_keys

_REWRAP = Script("rewrap")


@dataclass(slots=True)
class Rotation:
    """How a rotation goes.

    Attributes:
        seen: data keys that were looked at in this round.
        rewrapped: those that were wrapped anew.
        failed: those that do not open; they stay as they are.
        dropped: the master keys that wrap nothing any more, once all is done.
    """

    seen: int = 0
    rewrapped: int = 0
    failed: int = 0
    dropped: tuple[str, ...] = ()


def _tell_nobody(_rotation: Rotation) -> None:
    """Nothing."""


async def rotate_master_key(
    store: RedisStore, *, tell: Callable[[Rotation], None] = _tell_nobody
) -> Rotation:
    """Wrap every user's data key by the newest master key; rounds until there is nothing to do.

    Args:
        store: its keyring has the newest master key, and those that wrap yet.
        tell: told now and then how it goes.

    Raises:
        ConfigurationError: there are no master keys.
    """
    masters = store.keyring.masters
    if masters is None:
        raise ConfigurationError("There are no keys: set STRATA_ENCRYPTION_KEYS.")
    rotation, before = Rotation(), -1
    while rotation.rewrapped > before:
        before, rotation.seen, rotation.failed = rotation.rewrapped, 0, 0
        async for name in scan_keys(store, keys.DATA_KEYS):
            if name.partition("}:")[2] == "key":
                await _rewrap(store, masters, name, rotation)
                tell(rotation)
    if not rotation.failed:
        rotation.dropped = tuple(await keep_checks(store.connection, masters.newest))
    return rotation


async def _rewrap(store: RedisStore, masters: MasterKeys, name: str, rotation: Rotation) -> None:
    call, commands = store.connection.call, store.connection.commands
    owner = name.removesuffix("key")
    held = await call(commands.get(name))
    if held is None:
        return  # erased meanwhile
    rotation.seen += 1
    try:
        if names_of(held)[1] == masters.newest:
            return
        wrapped = masters.wrap(owner, masters.unwrap(owner, held))
    except SealedError:
        rotation.failed += 1
        return
    rotation.rewrapped += await store.connection.run(_REWRAP, owner, held, wrapped)
