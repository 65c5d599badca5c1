"""A worker's indexes: caches of Redis that catch up by the user's change log, and are bounded."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

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
    """

    def __init__(self, make_index: Callable[[], UserIndex]) -> None:
        self.index, self.records = make_index(), RecordIndex(make_index)
        self.cursor = Cursor()
        self.lock = asyncio.Lock()


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
        self._resize(user, len(view.index) + len(view.records))
        return view

    async def _apply(self, user: User, view: View, changes: Changes) -> bool:
        """Bring the view forward; False when more is to be read."""
        if changes.cursor.epoch != view.cursor.epoch:
            view.index, view.records = self._make_index(), RecordIndex(self._make_index)
            view.cursor = Cursor(changes.cursor.epoch)
        if changes.reload or view.index.dead_share > _MOST_DEAD:
            await self._reload(user, view, changes.cursor)
            return False
        if changes.since.sequence > view.cursor.sequence:
            return False  # read for a view that was thrown away meanwhile
        if changes.cursor.sequence > view.cursor.sequence:
            for change in changes.items:
                if isinstance(change, Put):
                    await _put_all(view.index, change.entries)
                elif isinstance(change, PutRecord):
                    view.records.put(change)
                else:
                    view.index.drop_session(change.session_id)
            view.cursor = changes.cursor
        return not changes.more

    async def _reload(self, user: User, view: View, cursor: Cursor) -> None:
        index, records = self._make_index(), RecordIndex(self._make_index)
        async for entries in read_everything(self._store, user):
            await _put_all(index, entries)
        async for entry, record in read_records(self._store, user):
            records.put(PutRecord(record.id, record, entry))
        view.index, view.records, view.cursor = index, records, cursor

    def _resize(self, user: User, size: int) -> None:
        self.held += size - self._sizes.get(user, 0)
        self._sizes[user] = size
        while self.held > self._most_messages and len(self._views) > 1:
            oldest, _ = self._views.popitem(last=False)
            self.held -= self._sizes.pop(oldest, 0)


async def _put_all(index: UserIndex, entries: tuple[Entry, ...]) -> None:
    """Put in slices, so that a long replay never keeps other requests waiting."""
    for start in range(0, len(entries), _SLICE):
        index.put(*entries[start : start + _SLICE])
        await asyncio.sleep(0)
    if index.outgrown:
        await asyncio.to_thread(index.approximate)
