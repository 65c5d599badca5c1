"""What was released from quarantine, in Redis."""

from collections.abc import Sequence

from memory.store import keys
from memory.store.redis import RedisStore
from memory.store.scripts import Script
from memory.types import User

_RELEASE = Script("release", lasts=True)


async def release(store: RedisStore, user: User, ids: Sequence[str]) -> int:
    """Release messages and records; how many were not released before."""
    return await store.connection.run(_RELEASE, keys.prefix(user), store.log_length, *ids)


async def read_released(store: RedisStore, user: User) -> set[str]:
    """The ids of all that was released."""
    found = await store.connection.call(store.connection.commands.smembers(keys.released(user)))
    return {one.decode() for one in found}
