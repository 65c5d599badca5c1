"""Drawn records find their place among those that there are."""

from collections.abc import Sequence
from dataclasses import replace

from memory.errors import RecordConflictError, RecordsFullError, UnknownRecordError
from memory.extraction import Drawn
from memory.memories import Memories
from memory.merging import Merger
from memory.recall.embedding import Embedder
from memory.recall.querying import embed_within
from memory.recall.selection import EVERYTHING
from memory.records import Record
from memory.store import RedisStore
from memory.store.recording import Extracted, write_records
from memory.types import Entry, User

_TRIES, _PER_LINE = 5, 4


class Learner:
    """Compares what is drawn with what is known, and writes it with where it came from.

    Args:
        store: where it is written.
        memories: what is known.
        embedder: of lines and contents.
        embed_seconds: how long to wait for it; vectors are made later, then.
        most: the most records of a user; 0 for any number.
    """

    def __init__(
        self,
        store: RedisStore,
        memories: Memories,
        embedder: Embedder,
        *,
        embed_seconds: float,
        most: int,
    ) -> None:
        self._store, self._memories, self._embedder = store, memories, embedder
        self._embed_seconds, self._most = embed_seconds, most

    async def known(self, user: User, lines: Sequence[Entry], most: int) -> list[Record]:
        """The records that the lines may say again or contradict, no more than `most`."""
        index, now = await self._memories.index(user), self._memories.clock()
        asked = [line.message.spoken for line in lines if line.message.role == "user"]
        vectors = await embed_within(self._embedder, asked, self._embed_seconds)
        ranked = [
            index.search(
                text,
                vector,
                top_k=_PER_LINE,
                where=lambda record: record.is_recalled(now),
                selection=EVERYTHING,
            )
            for text, vector in zip(asked, vectors, strict=True)
        ]
        by_score = sorted((hit for hits in ranked for hit in hits), key=lambda one: -one.hit.score)
        found = {hit.record.id: hit.record for hit in by_score}
        return list(found.values())[:most]

    async def learn(
        self,
        user: User,
        said: tuple[Sequence[Entry], Sequence[Entry]],
        drawn: Sequence[Drawn],
        known: Sequence[Record],
        extracted: Extracted,
    ) -> str | None:
        """Write what was drawn, and that the lines were drawn from: together, or not at all.

        Args:
            user: whose.
            said: the lines before those that were drawn from, and these.
            drawn: by the model.
            known: what it was shown, in the order of its numbers.
            extracted: the stretch of the session.

        Returns:
            How it went: the outcome of `extracted`, or `full`: the user may have no more records,
            and nothing was kept of these. None when another worker was faster.

        Raises:
            UnknownSessionError: the session is gone.
        """
        contents = [one.content for one in drawn]
        vectors = await embed_within(self._embedder, contents, self._embed_seconds)
        for tries in range(1, _TRIES + 1):
            index, now = await self._memories.index(user), self._memories.clock()
            current = [index.get(one.id) or one for one in known]
            merger = Merger(*said, current, index, now)
            for one, vector in zip(drawn, vectors, strict=True):
                merger.take(one, vector)
            try:
                first = await write_records(
                    self._store, user, merger.writes, most=self._most, extracted=extracted
                )
            except RecordsFullError:
                passed = replace(extracted, outcome="full")
                first = await write_records(self._store, user, [], extracted=passed)
                return "full" if first else None
            except (RecordConflictError, UnknownRecordError):
                if tries == _TRIES:
                    raise
            else:
                return extracted.outcome if first else None
        raise AssertionError("the last try returns or raises")
