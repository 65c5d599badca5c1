"""How much room users take: the bytes of messages, memories and vectors, and how many memories."""

from dataclasses import dataclass

from memory.store import keys
from memory.store.redis import RedisStore
from memory.store.users import scan_keys
from memory.types import User


@dataclass(frozen=True, slots=True)
class Room:
    """What is stored: `bytes` as packed, without what Redis itself needs."""

    bytes: int = 0
    memories: int = 0

    def __add__(self, other: "Room") -> "Room":
        return Room(self.bytes + other.bytes, self.memories + other.memories)


async def user_room(store: RedisStore, user: User) -> Room:
    """What a user takes."""
    call, commands = store.connection.call, store.connection.commands
    counted = await call(commands.hget(f"{keys.prefix(user)}user", "bytes"))
    return Room(int(counted or 0), await call(commands.hlen(keys.records(user))))


async def tenant_room(store: RedisStore, tenant: str) -> Room:
    """What all users of a tenant take; every key is looked at, by SCAN."""
    names = {name async for name in scan_keys(store, keys.user_keys(tenant))}
    total = Room()
    for name in names:
        total += await user_room(store, keys.parse_user(name))
    return total
