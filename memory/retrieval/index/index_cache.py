"""A worker's indexes: caches of Redis that catch up by the user's change log, and are bounded."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Container
from dataclasses import replace

from onionskin.memory.privacy.retention import Retention
from onionskin.memory.quarantine import make_quarantine
from onionskin.memory.retrieval.index.record_index import RecordIndex
from onionskin.memory.retrieval.index.user_index import UserIndex
from onionskin.memory.store import RedisStore
from onionskin.memory.store.records import read_records, read_released
from onionskin.memory.store.transcripts import read_everything
from onionskin.memory.types.change_log import (
    Change,
    Changes,
    Cursor,
    DropSession,
    Put,
    PutRecord,
    Release,
)
from onionskin.memory.types.messages import Entry, User

_SLICE = 32
_MOST_DEAD = 0.5
_VIEW_BYTES = 6_000


class CachedIndex:
    """One user's indexes, and up to where they have read the change log.

    Attributes:
        index: the messages.
        records: the records.
        quarantine: what of both is held back.
        newest: the time of each session's newest message.
        is_steady: whether the turn before found nothing to catch up with.
    """

    def __init__(self, make_index: Callable[[], UserIndex], *, quarantines: bool) -> None:
        self.index, self.records = make_index(), RecordIndex(make_index)
        self.quarantine = make_quarantine(on=quarantines)
        self.cursor = Cursor()
        self.lock = asyncio.Lock()
        self.newest: dict[str, float] = {}
        self.is_unchanged = False

    def __len__(self) -> int:
        return len(self.index) + len(self.records)

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes."""
        return _VIEW_BYTES + self.index.size_bytes + self.records.size_bytes

    def replace_with(self, other: "CachedIndex", cursor: Cursor) -> None:
        """Hold what another holds."""
        self.index, self.records, self.quarantine = other.index, other.records, other.quarantine
        self.cursor, self.newest = cursor, other.newest

    async def apply(self, change: Change) -> None:
        """Go on by a change."""
        match change:
            case Put():
                await self._put_all(change.entries)
            case PutRecord():
                self.records.put(change)
                self.quarantine.drop(change.id)
                self.quarantine.scan([change.entry] if change.entry else [])
            case DropSession():
                self.drop(change.session_id)
            case Release():
                self.quarantine.release(change.id)

    def put(self, entries: tuple[Entry, ...]) -> None:
        """Messages came, or their vectors."""
        self.index.put(*entries)
        self.quarantine.scan(entries)
        for entry in entries:
            session_id, at = entry.session_id, entry.message.at
            self.newest[session_id] = max(at, self.newest.get(session_id, at))

    def drop(self, session_id: str) -> None:
        """Forget a session."""
        self.newest.pop(session_id, None)
        self.index.drop_session(session_id)
        self.quarantine.drop(session_id)

    def expire(self, retention: Retention, user: User) -> bool:
        """Forget the sessions and hold back no records that are past their time; if there are."""
        horizon = retention.horizon(user)
        over = [one for one, at in self.newest.items() if at <= horizon]
        for session_id in over:
            self.drop(session_id)
        if self.quarantine.quarantined_ids and retention.expires_memories():
            for record in self.records:
                if retention.is_expired(user, record):
                    self.quarantine.drop(record.id)
        return bool(over)

    async def _put_all(self, entries: tuple[Entry, ...]) -> None:
        """Put in slices, so that a long replay never keeps other requests waiting."""
        for start in range(0, len(entries), _SLICE):
            self.put(entries[start : start + _SLICE])
            await asyncio.sleep(0)
        if self.index.outgrown:
            await asyncio.to_thread(self.index.approximate)


class IndexCache:
    """The views of the users a worker serves, the least recently used thrown away first.

    Args:
        store: what they are views of.
        make_index: an empty index.
        most_bytes: the bound, over all users; about as much memory is taken.
        quarantines: whether what reads like instructions is held back.

    Attributes:
        held: messages and records in all views.
        held_bytes: about how much memory they take.
        hits, misses: how often a view was there already, or was not.
    """

    def __init__(
        self,
        store: RedisStore,
        make_index: Callable[[], UserIndex],
        *,
        most_bytes: int,
        quarantines: bool = False,
    ) -> None:
        self._store, self._make_index, self.quarantines = store, make_index, quarantines
        self._most_bytes = most_bytes
        self._views: OrderedDict[User, CachedIndex] = OrderedDict()
        self._sizes: dict[User, tuple[int, int]] = {}
        self.cached_entries = self.cached_bytes = self.hits = self.misses = 0

    def cursor(self, user: User) -> Cursor:
        """Up to where this worker has read the user's log; the beginning if it holds no view."""
        view = self._views.get(user)
        return view.cursor if view else Cursor()

    def forget(self, epochs: Container[str]) -> None:
        """Drop the views of users who were erased, by the epochs that they had."""
        for user in [one for one, view in self._views.items() if view.cursor.epoch in epochs]:
            self._drop(user)

    async def catch_up(self, user: User, changes: Changes) -> CachedIndex:
        """The user's view with `changes` in it; what they do not hold is read from Redis."""
        view = self._views.get(user)
        if view:
            self.hits += 1
        else:
            self.misses += 1
            view = self._views[user] = self._empty()
            self._resize(user, view)
        self._views.move_to_end(user)
        view.is_unchanged = changes.cursor == view.cursor
        async with view.lock:
            while not await self._apply(user, view, changes):
                changes = await self._store.catch_up(user, view.cursor)
            expired = view.expire(self._store.retention, user)
        if expired or not view.is_unchanged:
            self._resize(user, view)
        return view

    def peek(self, user: User) -> CachedIndex | None:
        """The view as this worker holds it, if the turn before found nothing to catch up with."""
        view = self._views.get(user)
        return view if view and view.is_unchanged and not view.lock.locked() else None

    def append_committed(self, user: User, cursor: Cursor, entries: tuple[Entry, ...]) -> None:
        """Take in what this worker has just stored, unless something else came before it.

        Args:
            user: whose view it is.
            cursor: where it stands in the change log.
            entries: what was stored, with vectors where there are any.
        """
        view = self._views.get(user)
        if view is None or not cursor.epoch or cursor != view.cursor.after:
            return  # it is read from Redis with the next turn, and with it what the epoch is
        if view.lock.locked() or view.index.outgrown:
            return
        view.put(entries)
        view.cursor = cursor
        self._resize(user, view)

    async def quarantined_ids(self, user: User) -> frozenset[str]:
        """The ids of what is held back of a user as things are now."""
        if not self.quarantines:
            return frozenset()
        return (await self.refresh(user)).quarantine.quarantined_ids

    async def refresh(self, user: User) -> CachedIndex:
        """The user's view as things are now."""
        return await self.catch_up(user, await self._store.catch_up(user, self.cursor(user)))

    async def _apply(self, user: User, view: CachedIndex, changes: Changes) -> bool:
        """Bring the view forward; False when more is to be read."""
        if changes.cursor.epoch != view.cursor.epoch:
            view.replace_with(self._empty(), Cursor(changes.cursor.epoch))
        if changes.reload or view.index.dead_share > _MOST_DEAD:
            await self._reload(user, view, changes.cursor)
            return False
        if changes.since.sequence > view.cursor.sequence:
            return False  # read for a view that was thrown away meanwhile
        if changes.cursor.sequence > view.cursor.sequence:
            for change in changes.items:
                await view.apply(self._limited(user, change))
            view.cursor = changes.cursor
        return not changes.more

    async def _reload(self, user: User, view: CachedIndex, cursor: Cursor) -> None:
        fresh = self._empty()
        if self.quarantines:
            fresh.quarantine.release(*await read_released(self._store, user))
        async for entries in read_everything(self._store, user):
            await fresh.apply(Put(entries))
        async for entry, record in read_records(self._store, user):
            await fresh.apply(self._limited(user, PutRecord(record.id, record, entry)))
        view.replace_with(fresh, cursor)

    def _limited(self, user: User, change: Change) -> Change:
        """A record with the time until which it is kept."""
        if not isinstance(change, PutRecord) or change.record is None:
            return change
        return replace(change, record=self._store.retention.with_expiry(user, change.record))

    def _empty(self) -> CachedIndex:
        return CachedIndex(self._make_index, quarantines=self.quarantines)

    def _resize(self, user: User, view: CachedIndex) -> None:
        """Note how large a view is, unless it was thrown away meanwhile, and keep to the bound."""
        if self._views.get(user) is not view:
            return
        self._count(user, (len(view), view.size_bytes))
        while self.cached_bytes > self._most_bytes and len(self._views) > 1:
            self._drop(next(iter(self._views)))

    def _drop(self, user: User) -> None:
        del self._views[user]
        self._count(user, (0, 0))
        del self._sizes[user]

    def _count(self, user: User, size: tuple[int, int]) -> None:
        before = self._sizes.get(user, (0, 0))
        self.cached_entries += size[0] - before[0]
        self.cached_bytes += size[1] - before[1]
        self._sizes[user] = size
