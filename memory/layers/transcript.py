"""The messages of a session, for layers that read more of it than the turn's snapshot has."""

from collections.abc import Set as AbstractSet

from onionskin.memory.quarantine import without_quarantined
from onionskin.memory.store import RedisStore
from onionskin.memory.types.messages import Entry, User


class SessionTranscript:
    """Reads the messages of one session. Each method is one round trip to Redis.

    Args:
        store: The store of sessions.
        user: The owner of the session.
        session_id: The session; a new one has no messages.
        length: Number of its messages when the turn began.
        quarantined_ids: Ids of messages that are left out.
    """

    def __init__(
        self,
        store: RedisStore,
        user: User,
        session_id: str,
        *,
        length: int,
        quarantined_ids: AbstractSet[str] = frozenset(),
    ) -> None:
        self._store, self._user, self._session_id = store, user, session_id
        self._quarantined_ids, self.length = frozenset(quarantined_ids), length

    async def read(self, start: int = 0, count: int | None = None) -> tuple[Entry, ...]:
        """`messages[start:start + count]`, oldest first; without `count`, all from `start` on."""
        start = max(start, 0)
        end = self.length if count is None else min(start + count, self.length)
        if end <= start:
            return ()
        entries = await self._store.transcripts.read(
            self._user, self._session_id, start=start, count=end - start
        )
        return without_quarantined(entries, self._quarantined_ids)

    async def first(self, count: int) -> tuple[Entry, ...]:
        """The first `count` messages, oldest first."""
        return await self.read(0, count)

    async def last(self, count: int) -> tuple[Entry, ...]:
        """The last `count` messages, oldest first."""
        return await self.read(self.length - count) if count > 0 else ()
