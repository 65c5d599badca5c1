"""A worker's indexes: caches of Redis that catch up by the user's change log, and are bounded."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Container
from dataclasses import replace

from memory.recall.index import UserIndex
from memory.recall.record_index import RecordIndex
from memory.store import RedisStore
from memory.store.reading import read_everything
from memory.store.recording import read_records
from memory.types import Changes, Cursor, Entry, Put, PutRecord, User

_SLICE = 32
_MOST_DEAD = 0.5


class View:
    """One user's indexes, and up to where they have read the change log.

    Attributes:
        index: the messages.
        records: the records.
        newest: the time of each session's newest message.
    """

    def __init__(self, make_index: Callable[[], UserIndex]) -> None:
        self.index, self.records = make_index(), RecordIndex(make_index)
        self.cursor = Cursor()
        self.lock = asyncio.Lock()
        self.newest: dict[str, float] = {}

    async def put(self, entries: tuple[Entry, ...]) -> None:
        """Put in slices, so that a long replay never keeps other requests waiting."""
        for entry in entries:
            session_id, at = entry.session_id, entry.message.at
            self.newest[session_id] = max(at, self.newest.get(session_id, at))
        for start in range(0, len(entries), _SLICE):
            self.index.put(*entries[start : start + _SLICE])
            await asyncio.sleep(0)
        if self.index.outgrown:
            await asyncio.to_thread(self.index.approximate)

    def drop(self, session_id: str) -> None:
        """Forget a session."""
        self.newest.pop(session_id, None)
        self.index.drop_session(session_id)

    def expire(self, horizon: float) -> None:
        """Forget the sessions of which no message is newer."""
        for session_id in [one for one, at in self.newest.items() if at <= horizon]:
            self.drop(session_id)

    def become(self, other: "View") -> None:
        """Take over what was read into another."""
        self.index, self.records, self.cursor = other.index, other.records, other.cursor
        self.newest = other.newest


class Views:
    """The views of the users a worker serves, the least recently used thrown away first.

    Args:
        store: what they are views of.
        make_index: an empty index.
        most_messages: the bound, over all users.

    Attributes:
        held: messages and records in all views.
        hits, misses: how often a view was there already, or was not.
    """

    def __init__(
        self, store: RedisStore, make_index: Callable[[], UserIndex], *, most_messages: int
    ) -> None:
        self._store, self._make_index = store, make_index
        self._most_messages = most_messages
        self._views: OrderedDict[User, View] = OrderedDict()
        self._sizes: dict[User, int] = {}
        self.held = self.hits = self.misses = 0

    def cursor(self, user: User) -> Cursor:
        """Up to where this worker has read the user's log; the beginning if it holds no view."""
        view = self._views.get(user)
        return view.cursor if view else Cursor()

    def forget(self, epochs: Container[str]) -> None:
        """Drop the views of users who were erased, by the epochs that they had."""
        for user in [one for one, view in self._views.items() if view.cursor.epoch in epochs]:
            del self._views[user]
            self.held -= self._sizes.pop(user, 0)

    async def current(self, user: User, changes: Changes) -> View:
        """The user's view with `changes` in it; what they do not hold is read from Redis."""
        view = self._views.get(user)
        if view:
            self.hits += 1
        else:
            self.misses += 1
            view = self._views[user] = View(self._make_index)
        self._views.move_to_end(user)
        async with view.lock:
            while not await self._apply(user, view, changes):
                changes = await self._store.catch_up(user, view.cursor)
            view.expire(self._store.retention.horizon(user))
        self._resize(user, len(view.index) + len(view.records))
        return view

    async def _apply(self, user: User, view: View, changes: Changes) -> bool:
        """Bring the view forward; False when more is to be read."""
        if changes.cursor.epoch != view.cursor.epoch:
            fresh = View(self._make_index)
            fresh.cursor = Cursor(changes.cursor.epoch)
            view.become(fresh)
        if changes.reload or view.index.dead_share > _MOST_DEAD:
            await self._reload(user, view, changes.cursor)
            return False
        if changes.since.sequence > view.cursor.sequence:
            return False  # read for a view that was thrown away meanwhile
        if changes.cursor.sequence > view.cursor.sequence:
            for change in changes.items:
                if isinstance(change, Put):
                    await view.put(change.entries)
                elif isinstance(change, PutRecord):
                    view.records.put(self._limited(user, change))
                else:
                    view.drop(change.session_id)
            view.cursor = changes.cursor
        return not changes.more

    async def _reload(self, user: User, view: View, cursor: Cursor) -> None:
        fresh = View(self._make_index)
        fresh.cursor = cursor
        async for entries in read_everything(self._store, user):
            await fresh.put(entries)
        async for entry, record in read_records(self._store, user):
            fresh.records.put(self._limited(user, PutRecord(record.id, record, entry)))
        view.become(fresh)

    def _limited(self, user: User, change: PutRecord) -> PutRecord:
        if change.record is None:
            return change
        return replace(change, record=self._store.retention.limited(user, change.record))

    def _resize(self, user: User, size: int) -> None:
        self.held += size - self._sizes.get(user, 0)
        self._sizes[user] = size
        while self.held > self._most_messages and len(self._views) > 1:
            oldest, _ = self._views.popitem(last=False)
            self.held -= self._sizes.pop(oldest, 0)
