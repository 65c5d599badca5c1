"""Users: who has data, how much is stored of each, and how much of a model each has used."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import nsmallest

from onionskin.memory.store import keys
from onionskin.memory.store.redis.scripts import Script
from onionskin.memory.store.repository import Repository
from onionskin.memory.types.messages import User

_STATS = Script("branches", "user_stats")
_ADD_USAGE = Script.inline("""
-- Add to the usage of a day; returns the calls and tokens used by then.
-- KEYS[1] the day's key   ARGV 1 calls   2 tokens   3 seconds to keep the day
--         4 a name under which they are added once, or ''   5 seconds to remember the name
local adds = ARGV[1] ~= '0' or ARGV[2] ~= '0'
if adds and ARGV[4] ~= '' then
  adds = redis.call('SET', KEYS[1] .. ':' .. ARGV[4], '1', 'NX', 'EX', ARGV[5])
end
if adds then
  redis.call('HINCRBY', KEYS[1], 'calls', ARGV[1])
  redis.call('HINCRBY', KEYS[1], 'tokens', ARGV[2])
  redis.call('EXPIRE', KEYS[1], ARGV[3])
end
local used = redis.call('HMGET', KEYS[1], 'calls', 'tokens')
return {tonumber(used[1] or 0), tonumber(used[2] or 0)}
""")
_SET_TIME_ZONE = Script.inline("""
-- Store a user's time zone, or remove it.
-- KEYS[1] the user's prefix   ARGV 1 epoch for a new user   2 the zone, '' to remove it
local user = KEYS[1] .. 'user'
if ARGV[2] == '' then
  return redis.call('HDEL', user, 'zone')
end
redis.call('HSETNX', user, 'epoch', ARGV[1])
return redis.call('HSET', user, 'zone', ARGV[2])
""")
_SAVE_SUMMARY = Script.inline("""
-- Store the summary of a user who was not erased since it was made.
-- KEYS[1] the user's prefix   ARGV 1 epoch   2 summary   3 seconds to keep it
if redis.call('HGET', KEYS[1] .. 'user', 'epoch') ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1] .. 'summary', ARGV[2], 'EX', ARGV[3])
return 1
""")
_SUMMARY_SECONDS, _SUMMARY_PLACE = 7 * 24 * 3600, "summary"
_CANDIDATE_FACTOR = 4
"""How many times the page size is collected before a scan keeps only the smallest ids."""
_USAGE_SECONDS, _USAGE_NAME_SECONDS = 3 * 24 * 3600, 2 * 3600


@dataclass(frozen=True, slots=True)
class UserStats:
    """How much is stored of a user.

    Attributes:
        sessions: All sessions; `open_sessions` of them are not closed.
        summaries: Sessions that are summarized at least in part.
        size_bytes: Memory of the keys according to Redis; an estimate for large keys.
        extraction: Number of extractions by outcome.
        first, last: When the first session began and when one was last active; Unix seconds.
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


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """Model calls and tokens of one day."""

    calls: int
    tokens: int


@dataclass(frozen=True, slots=True)
class StorageUsage:
    """Stored data: `bytes` as packed, without Redis's own overhead, and the number of memories."""

    bytes: int = 0
    memories: int = 0

    def __add__(self, other: "StorageUsage") -> "StorageUsage":
        return StorageUsage(self.bytes + other.bytes, self.memories + other.memories)


class Users(Repository):
    """Lists users, and reads their statistics, storage and usage."""

    async def stats(self, user: User) -> UserStats:
        """How much is stored of a user; zeros where there is nothing."""
        *counts, first, last, outcomes = await self._connection.run(_STATS, keys.prefix(user))
        return UserStats(
            *counts,
            first=float(first) if first else None,
            last=float(last) if last else None,
            extraction={
                name.decode(): int(times)
                for name, times in zip(outcomes[::2], outcomes[1::2], strict=True)
            },
        )

    async def summary(self, user: User) -> bytes | None:
        """The stored summary of a user; None if there is none."""
        packed = await self._call(self._commands.get(keys.user_summary(user)))
        cipher = await self._keyring.cipher_for(user, [packed])
        return cipher.decrypt(_SUMMARY_PLACE, packed) if packed else None

    async def save_summary(self, user: User, summary: bytes, *, epoch: str) -> None:
        """Store the summary of a user, unless the user was erased since `epoch` was read."""
        await self._keyring.run_write(
            user,
            _SAVE_SUMMARY,
            lambda cipher: (epoch, cipher.encrypt(_SUMMARY_PLACE, summary), _SUMMARY_SECONDS),
        )

    async def drop_summary(self, user: User) -> None:
        """Delete the stored summary of a user, because a source of it was deleted."""
        await self._connection.write("DEL", keys.user_summary(user))

    async def list(self, tenant: str, *, after: str, count: int) -> list[str]:
        """The first `count` ids after `after` of a tenant's users who have data, sorted.

        Scans every key, and holds no more than a few times `count` ids.
        """
        ids: set[str] = set()
        async for name in self._connection.scan_keys(keys.user_keys(tenant)):
            user_id = keys.parse_user(name).id
            if user_id > after:
                ids.add(user_id)
            if len(ids) > _CANDIDATE_FACTOR * count:
                ids = set(nsmallest(count, ids))
        return nsmallest(count, ids)

    async def all(self) -> AsyncIterator[User]:
        """Every user of every tenant, by SCAN: in no order, and some of them twice."""
        async for name in self._connection.scan_keys(keys.USER_KEYS):
            yield keys.parse_user(name)

    async def time_zone(self, user: User) -> str:
        """The name of the user's time zone; empty if none is stored."""
        stored = await self._call(self._commands.hget(f"{keys.prefix(user)}user", "zone"))
        return stored.decode() if stored else ""

    async def set_time_zone(self, user: User, name: str) -> None:
        """Store the name of the user's time zone; empty to remove it."""
        epoch = secrets.token_hex(8)
        await self._connection.run(_SET_TIME_ZONE, keys.prefix(user), epoch, name)

    async def storage(self, user: User) -> StorageUsage:
        """How much storage a user takes."""
        size = await self._call(self._commands.hget(f"{keys.prefix(user)}user", "bytes"))
        return StorageUsage(
            int(size or 0), await self._call(self._commands.hlen(keys.records(user)))
        )

    async def tenant_storage(self, tenant: str) -> StorageUsage:
        """How much storage all users of a tenant take; scans every key."""
        names = {name async for name in self._connection.scan_keys(keys.user_keys(tenant))}
        total = StorageUsage()
        for name in names:
            total += await self.storage(keys.parse_user(name))
        return total

    async def add_usage(
        self, user: User, *, now: float, calls: int, tokens: int, once: str = ""
    ) -> tuple[ModelUsage, ModelUsage]:
        """Add calls and tokens, possibly none; returns the day's totals of user and tenant.

        Under the same name `once` they are added only once within two hours. Days are UTC.
        """
        day = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")
        return (
            await self._add_usage(keys.usage(user, day), calls, tokens, once),
            await self._add_usage(keys.tenant_usage(user.tenant, day), calls, tokens, once),
        )

    async def _add_usage(self, key: str, calls: int, tokens: int, once: str) -> ModelUsage:
        arguments = (calls, tokens, _USAGE_SECONDS, once, _USAGE_NAME_SECONDS)
        used = await self._connection.run(_ADD_USAGE, key, *arguments)
        return ModelUsage(int(used[0]), int(used[1]))
