"""A worker's cache of user indexes: each follows the user's change log in Redis."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Container
from dataclasses import replace

from onionskin.memory.quarantine import make_quarantine
from onionskin.memory.retrieval.index.record_index import RecordIndex
from onionskin.memory.retrieval.index.user_index import UserIndex
from onionskin.memory.store import RedisStore
from onionskin.memory.types.change_log import (
    Abandon,
    Change,
    Changes,
    Cursor,
    DropSession,
    Put,
    PutRecord,
    Release,
)
from onionskin.memory.types.messages import Entry, User

_BATCH, _BATCH_CHARACTERS = 32, 16_000
_LONG = 8_000
"""Characters of a message that is indexed in several steps, other requests in between."""
_MAX_DEAD_SHARE = 0.5
_EMPTY_BYTES = 6_000


class CachedIndex:
    """One user's indexes, and their position in the change log.

    Args:
        make_index: Makes an empty index.
        quarantines: Whether text that looks like instructions is quarantined.

    Attributes:
        index: The messages.
        records: The records.
        quarantine: The quarantined messages and records.
        cursor: Position in the change log.
        lock: Held while changes are applied.
        newest: Time of each session's newest message.
        abandoned: Replaced messages whose records may still have them as sources.
        is_unchanged: Whether the last turn found no change in the log.
    """

    def __init__(self, make_index: Callable[[], UserIndex], *, quarantines: bool) -> None:
        self.index, self.records = make_index(), RecordIndex(make_index)
        self.quarantine = make_quarantine(on=quarantines)
        self.cursor = Cursor()
        self.lock = asyncio.Lock()
        self.newest: dict[str, float] = {}
        self.is_unchanged = False
        self.abandoned: tuple[Abandon, ...] = ()

    def __len__(self) -> int:
        return len(self.index) + len(self.records)

    @property
    def size_bytes(self) -> int:
        """Estimated memory."""
        return _EMPTY_BYTES + self.index.size_bytes + self.records.size_bytes

    def replace_with(self, other: "CachedIndex", cursor: Cursor) -> None:
        """Take over the content of another."""
        self.index, self.records, self.quarantine = other.index, other.records, other.quarantine
        self.cursor, self.newest, self.abandoned = cursor, other.newest, ()

    async def apply(self, change: Change) -> None:
        """Apply one change of the log."""
        match change:
            case Put():
                await self._put_all(change.entries)
            case PutRecord():
                self.records.put(change)
                self.quarantine.drop(change.id)
                self.quarantine.scan([change.entry] if change.entry else [])
            case DropSession():
                self.drop(change.session_id)
            case Abandon():
                self.index.drop(change.ids)
                self.quarantine.drop_messages(change.ids)
                self.abandoned += (change,)
            case Release():
                self.quarantine.release(change.id)

    def put(self, entries: tuple[Entry, ...]) -> None:
        """Add messages, or vectors of messages that had none."""
        self.index.put(*entries)
        self.quarantine.scan(entries)
        for entry in entries:
            session_id, at = entry.session_id, entry.message.at
            self.newest[session_id] = max(at, self.newest.get(session_id, at))

    def drop(self, session_id: str) -> None:
        """Delete a session."""
        self.newest.pop(session_id, None)
        self.index.drop_session(session_id)
        self.quarantine.drop(session_id)

    def expire(self, store: RedisStore, user: User) -> bool:
        """Drop expired sessions and records; returns whether a session has expired."""
        horizon = store.sessions.horizon(user)
        expired = [session_id for session_id, at in self.newest.items() if at <= horizon]
        for session_id in expired:
            self.drop(session_id)
        if self.quarantine.quarantined_ids and store.records.can_expire():
            for record in self.records:
                if store.records.is_expired(user, record):
                    self.quarantine.drop(record.id)
        return bool(expired)

    async def _put_all(self, entries: tuple[Entry, ...]) -> None:
        """Add in batches, so that a long replay does not block other requests."""
        first = size = 0
        for place, entry in enumerate(entries):
            characters = len(entry.message.content)
            if characters > _LONG:
                self.put(entries[first:place])
                steps = self.index.put_passages(entry)
                try:
                    for _ in steps:
                        await asyncio.sleep(0)
                finally:  # a request that is cancelled leaves no part of a message
                    for _ in steps:
                        pass
                first, characters = place, 0
            size += characters
            if place + 1 - first == _BATCH or size > _BATCH_CHARACTERS:
                self.put(entries[first : place + 1])
                first, size = place + 1, 0
                await asyncio.sleep(0)
        self.put(entries[first:])
        if self.index.outgrown:
            await asyncio.to_thread(self.index.approximate)


class IndexCache:
    """The indexes of the users that a worker serves; the least recently used is evicted first.

    Args:
        store: The store that the indexes are built from.
        make_index: Makes an empty index.
        max_bytes: Memory limit over all users, approximate.
        quarantines: Whether text that looks like instructions is quarantined.

    Attributes:
        cached_entries: Messages and records in all indexes.
        cached_bytes: Estimated memory of all indexes.
        hits, misses: How often a user's index was in the cache, or was not.
    """

    def __init__(
        self,
        store: RedisStore,
        make_index: Callable[[], UserIndex],
        *,
        max_bytes: int,
        quarantines: bool = False,
    ) -> None:
        self._store, self._make_index, self.quarantines = store, make_index, quarantines
        self._max_bytes = max_bytes
        self._indexes: OrderedDict[User, CachedIndex] = OrderedDict()
        self._sizes: dict[User, tuple[int, int]] = {}
        self.cached_entries = self.cached_bytes = self.hits = self.misses = 0

    def cursor(self, user: User) -> Cursor:
        """This worker's position in the user's change log; the start if nothing is cached."""
        cached = self._indexes.get(user)
        return Cursor() if cached is None else cached.cursor

    def forget(self, epochs: Container[str]) -> None:
        """Evict users who were erased, by their former epochs."""
        erased = [user for user, cached in self._indexes.items() if cached.cursor.epoch in epochs]
        for user in erased:
            self._evict(user)

    async def catch_up(self, user: User, changes: Changes) -> CachedIndex:
        """The user's index with `changes` applied; further changes are read from Redis."""
        cached = self._indexes.get(user)
        if cached is not None:
            self.hits += 1
        else:
            self.misses += 1
            cached = self._indexes[user] = self._empty()
            self._resize(user, cached)
        self._indexes.move_to_end(user)
        cached.is_unchanged = changes.cursor == cached.cursor
        async with cached.lock:
            while not await self._apply(user, cached, changes):
                changes = await self._store.transcripts.changes_since(user, cached.cursor)
            expired = cached.expire(self._store, user)
        if expired or not cached.is_unchanged:
            self._resize(user, cached)
        return cached

    def peek(self, user: User) -> CachedIndex | None:
        """The cached index as it is; None if the last turn found changes or it is being updated."""
        cached = self._indexes.get(user)
        return cached if cached and cached.is_unchanged and not cached.lock.locked() else None

    def append_committed(self, user: User, cursor: Cursor, entries: tuple[Entry, ...]) -> None:
        """Add entries that this worker has just committed, unless another change came first.

        Args:
            user: The user.
            cursor: Position of the commit in the change log.
            entries: The committed entries, with their vectors if they have any.
        """
        cached = self._indexes.get(user)
        if cached is None or not cursor.epoch or cursor != cached.cursor.after:
            return  # the next turn reads it from Redis, together with the epoch
        if cached.lock.locked() or cached.index.outgrown:
            return
        if sum(len(entry.message.content) for entry in entries) > _LONG:
            return  # indexing takes milliseconds; the next turn does it between other requests
        cached.put(entries)
        cached.cursor = cursor
        self._resize(user, cached)

    async def quarantined_ids(self, user: User) -> frozenset[str]:
        """The ids of the user's quarantined messages and records, as of now."""
        if not self.quarantines:
            return frozenset()
        return (await self.refresh(user)).quarantine.quarantined_ids

    async def refresh(self, user: User) -> CachedIndex:
        """The user's index as of now."""
        return await self.catch_up(
            user, await self._store.transcripts.changes_since(user, self.cursor(user))
        )

    async def _apply(self, user: User, cached: CachedIndex, changes: Changes) -> bool:
        """Apply changes to an index; False if more must be read."""
        if changes.cursor.epoch != cached.cursor.epoch:
            cached.replace_with(self._empty(), Cursor(changes.cursor.epoch))
        if changes.reload or cached.index.dead_share > _MAX_DEAD_SHARE:
            await self._reload(user, cached, changes.cursor)
            return False
        if changes.since.sequence > cached.cursor.sequence:
            return False  # they were read for an index that has been evicted since
        if changes.cursor.sequence > cached.cursor.sequence:
            for change in changes.items:
                await cached.apply(self._limited(user, change))
            cached.cursor = changes.cursor
        return not changes.more

    async def _reload(self, user: User, cached: CachedIndex, cursor: Cursor) -> None:
        fresh = self._empty()
        if self.quarantines:
            fresh.quarantine.release(*await self._store.records.released(user))
        async for entries in self._store.transcripts.read_all(user):
            await fresh.apply(Put(entries))
        async for entry, record in self._store.records.read_all(user):
            await fresh.apply(self._limited(user, PutRecord(record.id, record, entry)))
        cached.replace_with(fresh, cursor)

    def _limited(self, user: User, change: Change) -> Change:
        """The change, with the record's expiry time set by the retention."""
        if not isinstance(change, PutRecord) or change.record is None:
            return change
        return replace(change, record=self._store.records.with_expiry(user, change.record))

    def _empty(self) -> CachedIndex:
        return CachedIndex(self._make_index, quarantines=self.quarantines)

    def _resize(self, user: User, cached: CachedIndex) -> None:
        """Update the size of an index that is still cached, and evict others over the limit."""
        if self._indexes.get(user) is not cached:
            return
        self._count(user, (len(cached), cached.size_bytes))
        while self.cached_bytes > self._max_bytes and len(self._indexes) > 1:
            self._evict(next(iter(self._indexes)))

    def _evict(self, user: User) -> None:
        del self._indexes[user]
        self._count(user, (0, 0))
        del self._sizes[user]

    def _count(self, user: User, size: tuple[int, int]) -> None:
        before = self._sizes.get(user, (0, 0))
        self.cached_entries += size[0] - before[0]
        self.cached_bytes += size[1] - before[1]
        self._sizes[user] = size
