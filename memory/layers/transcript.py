"""The messages of a session, for layers that read more of it than the turn's snapshot has."""

from collections.abc import Set as AbstractSet
from itertools import islice

from onionskin.memory.quarantine import without_quarantined
from onionskin.memory.store import RedisStore
from onionskin.memory.types.messages import Entry, Session, User


class SessionTranscript:
    """Reads the messages of one session, without abandoned ones.

    Args:
        store: The store of sessions.
        user: The owner of the session.
        session: The session as the turn read it; a new one has no messages.
        quarantined_ids: Ids of messages that are left out.

    Attributes:
        length: Number of messages, quarantined ones included.
    """

    def __init__(
        self,
        store: RedisStore,
        user: User,
        session: Session,
        quarantined_ids: AbstractSet[str] = frozenset(),
    ) -> None:
        self._store, self._user, self._session = store, user, session
        self._quarantined_ids, self.length = frozenset(quarantined_ids), session.live_count

    async def read(self, start: int = 0, count: int | None = None) -> tuple[Entry, ...]:
        """`messages[start:start + count]`, oldest first; without `count`, all from `start` on.

        Raises:
            StoreUnavailableError: Redis is unavailable.
        """
        start, session = max(start, 0), self._session
        if start >= self.length or (count is not None and count <= 0):
            return ()
        live = (position for run in session.abandoned.live(0, session.length) for position in run)
        entries = await self._store.transcripts.read_live(
            self._user, session, start=next(islice(live, start, None)), count=count
        )
        return without_quarantined(entries, self._quarantined_ids)

    async def first(self, count: int) -> tuple[Entry, ...]:
        """The first `count` messages, oldest first."""
        return await self.read(0, count)

    async def last(self, count: int) -> tuple[Entry, ...]:
        """The last `count` messages, oldest first."""
        return await self.read(max(self.length - count, 0), count)
