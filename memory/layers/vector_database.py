"""The vector layer over an external vector database; hits are read from Redis."""

import asyncio
import logging
from collections.abc import Sequence

from onionskin.memory.layers.base import TurnContext
from onionskin.memory.layers.vector import within_budget
from onionskin.memory.retrieval.index.passages import Span, split
from onionskin.memory.store import RedisStore
from onionskin.memory.types.messages import Entry
from onionskin.memory.types.snapshot import Hit, Section
from onionskin.memory.vector_databases.mirror import VectorDatabaseMirror

_PASSAGES = 3
_log = logging.getLogger("onionskin.memory")


class VectorDatabaseLayer:
    """Recalls messages of all the user's sessions by vector similarity alone, nearest first.

    Args:
        vector_database: The database with the vectors.
        store: Store that hits are read from.
        top_k: Most messages.
        budget_tokens: Most tokens.
        timeout_seconds: Time limit for the search; a slower one leaves the layer empty.
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
        self._vector_database, self._store = vector_database, store
        self._top_k, self._budget_tokens, self._seconds = top_k, budget_tokens, timeout_seconds

    async def load(self, turn: TurnContext) -> Section:
        """The hits that fit the budget, best first."""
        if turn.vector is None:
            return Section(self.name)
        excluded = turn.excluded_messages
        copies = 1 + len(turn.excluded_sessions)  # forked sessions hold copies of a message
        limit = (self._top_k + len(turn.shown) + len(turn.quarantined_ids)) * copies
        limit *= _PASSAGES  # of a long message
        try:
            async with asyncio.timeout(self._seconds):
                found = await self._vector_database.search(turn.user, turn.vector, top_k=limit)
        except Exception as error:  # noqa: BLE001 - every database has its own errors
            _log.warning("vector store failed", extra={"error": type(error).__name__})
            return Section(self.name, missing="vector_store")
        numbers: dict[str, list[int]] = {}
        for name in found:
            entry_id, _, number = name.partition("#")
            if entry_id not in excluded:
                numbers.setdefault(entry_id, []).extend([int(number)] if number else [])
        wanted = list(numbers)[: self._top_k]
        entries = await self._store.transcripts.entries(turn.user, wanted, live=True)
        ranked = [entries[one] for one in wanted if one in entries]
        hits = [
            Hit(entry, 1 / place, {"rank": 1 / place}, passages=_spans(entry, numbers[entry.id]))
            for place, entry in enumerate(ranked, 1)
        ]
        return within_budget(self.name, turn, hits, self._budget_tokens)


def _spans(entry: Entry, numbers: Sequence[int]) -> tuple[Span, ...]:
    """The passages of a long message that were found, nearest first; of any, at least the first."""
    passages = split(entry.message.content)
    found = tuple(passages[number] for number in numbers if number < len(passages))
    return found or passages[:1]
