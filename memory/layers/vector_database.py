"""The vector layer over a vector database: found there, read in Redis."""

import asyncio
import logging

from onionskin.memory.layers.base import TurnContext
from onionskin.memory.layers.vector import within_budget
from onionskin.memory.store import RedisStore
from onionskin.memory.types.snapshot import Hit, Section
from onionskin.memory.vector_databases.mirror import VectorDatabaseMirror

_log = logging.getLogger("onionskin.memory")


class VectorDatabaseLayer:
    """Messages of all the user's sessions, nearest first; by meaning alone, not by words.

    Args:
        outside: the database.
        store: where a hit is read.
        top_k: the most messages.
        budget_tokens: the most tokens.
        seconds: how long a turn waits for the database before it goes on without.
    """

    name = "vector"

    def __init__(
        self,
        vector_database: VectorDatabaseMirror,
        store: RedisStore,
        *,
        top_k: int,
        budget_tokens: int,
        timeout_seconds: float = 2.0,
    ) -> None:
        self._outside, self._store = vector_database, store
        self._top_k, self._budget_tokens, self._seconds = top_k, budget_tokens, timeout_seconds

    async def load(self, turn: TurnContext) -> Section:
        """The hits that fit the budget, best first."""
        if turn.vector is None:
            return Section(self.name)
        left_out = turn.excluded_messages
        copies = 1 + len(
            turn.excluded_sessions
        )  # of a message, where sessions are forks of each other
        most = (self._top_k + len(turn.shown) + len(turn.quarantined_ids)) * copies
        try:
            async with asyncio.timeout(self._seconds):
                ids = await self._outside.search(turn.user, turn.vector, top_k=most)
        except Exception as error:  # noqa: BLE001 - every database has errors of its own
            _log.warning("vector store failed", extra={"error": type(error).__name__})
            return Section(self.name, missing="vector_store")
        wanted = [one for one in ids if one not in left_out][: self._top_k]
        found = await self._store.transcripts.entries(turn.user, wanted)
        ranked = [found[one] for one in wanted if one in found]
        hits = [Hit(entry, 1 / place, {"rank": 1 / place}) for place, entry in enumerate(ranked, 1)]
        return within_budget(self.name, turn, hits, self._budget_tokens)
