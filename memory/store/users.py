"""Which users there are, and how much is stored of each."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from heapq import nsmallest

from memory.store import keys
from memory.store.redis import RedisStore
from memory.store.scripts import Script
from memory.types import User

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
