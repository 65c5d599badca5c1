"""Which users there are, and how much is stored of each.

What users and tenants have used of a model, day by day (UTC).

How much room users take: the bytes of messages, memories and vectors, and how many memories.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import nsmallest

from onionskin.memory.store import keys
from onionskin.memory.store.redis.scripts import Script
from onionskin.memory.store.store import RedisStore
from onionskin.memory.types.messages import User

_STATS = Script("stats")
_SCAN_COUNT, _ROOM = 1000, 4


@dataclass(frozen=True, slots=True)
class UserStats:
    """How much is stored of a user.

    Attributes:
        sessions: all of them; `open_sessions` of these are not closed.
        summaries: sessions that are folded at least in part.
        size_bytes: what Redis says of the keys; an estimate where they are large.
        extraction: how extractions went, counted by outcome.
        first, last: when the first session began and when one was last active; Unix seconds.
    """

    sessions: int
    open_sessions: int
    messages: int
    summaries: int
    memories: int
    vectors: int
    size_bytes: int
    first: float | None
    last: float | None
    extraction: dict[str, int]


async def user_stats(store: RedisStore, user: User) -> UserStats:
    """How much is stored of a user; zeros where there is nothing."""
    *counts, first, last, counted = await store.connection.run(_STATS, keys.prefix(user))
    return UserStats(
        *counts,
        first=float(first) if first else None,
        last=float(last) if last else None,
        extraction={
            name.decode(): int(times)
            for name, times in zip(counted[::2], counted[1::2], strict=True)
        },
    )


async def list_users(store: RedisStore, tenant: str, *, after: str, count: int) -> list[str]:
    """The ids of a tenant's users who have something stored, sorted; those after `after`.

    Every key is looked at, by SCAN; no more than a few times `count` ids are held.
    """
    found: set[str] = set()
    async for user_id in _user_ids(store, tenant):
        if user_id > after:
            found.add(user_id)
        if len(found) > _ROOM * count:
            found = set(nsmallest(count, found))
    return nsmallest(count, found)


async def all_users(store: RedisStore) -> AsyncIterator[User]:
    """Every user of every tenant, by SCAN: in no order, and some of them twice."""
    async for name in scan_keys(store, keys.USER_KEYS):
        yield keys.parse_user(name)


async def scan_keys(store: RedisStore, pattern: str) -> AsyncIterator[str]:
    """The names of keys, by SCAN on every node: in no order, and some of them twice."""
    found = store.connection.commands.scan_iter(pattern, _SCAN_COUNT)
    while name := await store.connection.call(anext(found, None)):
        yield name.decode()


async def _user_ids(store: RedisStore, tenant: str) -> AsyncIterator[str]:
    async for name in scan_keys(store, keys.user_keys(tenant)):
        yield keys.parse_user(name).id


_USAGE = Script("usage")
_KEPT_SECONDS, _ONCE_SECONDS = 3 * 24 * 3600, 2 * 3600


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """So many calls and tokens of one day."""

    calls: int
    tokens: int


async def add_usage(
    store: RedisStore, user: User, *, now: float, calls: int, tokens: int, once: str = ""
) -> tuple[ModelUsage, ModelUsage]:
    """Add to a day's usage, perhaps nothing; what the user and the tenant have used by then.

    What is added under a name, `once`, is added only once within two hours.
    """
    return (
        await _added(store, keys.usage(user, _day(now)), calls, tokens, once),
        await _added(store, keys.tenant_usage(user.tenant, _day(now)), calls, tokens, once),
    )


async def _added(store: RedisStore, key: str, calls: int, tokens: int, once: str) -> ModelUsage:
    args = (calls, tokens, _KEPT_SECONDS, once, _ONCE_SECONDS)
    found = await store.connection.run(_USAGE, key, *args)
    return ModelUsage(int(found[0]), int(found[1]))


def _day(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")


@dataclass(frozen=True, slots=True)
class StorageUsage:
    """What is stored: `bytes` as packed, without what Redis itself needs."""

    bytes: int = 0
    memories: int = 0

    def __add__(self, other: "StorageUsage") -> "StorageUsage":
        return StorageUsage(self.bytes + other.bytes, self.memories + other.memories)


async def user_storage(store: RedisStore, user: User) -> StorageUsage:
    """What a user takes."""
    call, commands = store.connection.call, store.connection.commands
    counted = await call(commands.hget(f"{keys.prefix(user)}user", "bytes"))
    return StorageUsage(int(counted or 0), await call(commands.hlen(keys.records(user))))


async def tenant_storage(store: RedisStore, tenant: str) -> StorageUsage:
    """What all users of a tenant take; every key is looked at, by SCAN."""
    names = {name async for name in scan_keys(store, keys.user_keys(tenant))}
    total = StorageUsage()
    for name in names:
        total += await user_storage(store, keys.parse_user(name))
    return total
