"""One user's messages, searchable: FAISS over their vectors and BM25 over their words."""

from collections.abc import Container

import numpy as np
from numpy.typing import NDArray

from memory.recall.analysis import Analyzer
from memory.recall.dense import Vectors
from memory.recall.lexical import Postings
from memory.types import Entry, Hit, Vector

_CANDIDATES = 128


class UserIndex:
    """The index of one user, append-only: a put costs the same however long the history is.

    Rows are numbered in the order of arrival. Deleted rows stay as tombstones until `dead_share`
    says that filling the index anew pays.

    Args:
        analyze: text to terms.
    """

    def __init__(self, analyze: Analyzer) -> None:
        self._analyze = analyze
        self._entries: list[Entry | None] = []
        self._row_of: dict[str, int] = {}
        self._postings, self._vectors = Postings(), Vectors()

    def __len__(self) -> int:
        return len(self._row_of)

    @property
    def dead_share(self) -> float:
        """The share of rows that were deleted."""
        return 1 - len(self._row_of) / len(self._entries) if self._entries else 0.0

    @property
    def embedded(self) -> bool:
        """Whether every message has its vector."""
        return len(self._vectors) == len(self._entries)

    @property
    def unembedded(self) -> list[Entry]:
        """The messages without a vector of the embedder in use, oldest first."""
        if self.embedded:
            return []
        missing = (row for row in self._row_of.values() if row not in self._vectors)
        return [entry for row in missing if (entry := self._entries[row])]

    def put(self, entry: Entry) -> None:
        """Add a message, or the vector of one that came without."""
        row = self._row_of.get(entry.id)
        if row is None:
            row = len(self._entries)
            self._row_of[entry.id] = row
            self._entries.append(
                Entry(entry.session_id, entry.position, entry.message)  # FAISS holds the vector
            )
            self._postings.add(self._analyze(spoken(entry)))
        if entry.vector is not None:
            self._vectors.add(row, entry.vector)

    def drop_session(self, session_id: str) -> None:
        """Forget a session's messages."""
        for row, entry in enumerate(self._entries):
            if entry and entry.session_id == session_id:
                self._entries[row] = None
                del self._row_of[entry.id]

    def search(
        self, query: str, vector: Vector | None, *, top_k: int, exclude: Container[str] = ()
    ) -> list[Hit]:
        """The messages that answer `query` best.

        A score is z(dense) + z(bm25) over all rows, on the candidates of both searches.

        Args:
            query: the text.
            vector: its `(dim,)` unit vector, or None to search by words alone.
            top_k: how many.
            exclude: ids of messages that the prompt shows already.

        Returns:
            Hits, best first, none worse than the average message.
        """
        if not self._row_of or top_k <= 0:
            return []
        bm25 = self._postings.scores(self._analyze(query))
        touched = np.flatnonzero(bm25)
        mean, deviation = _moments(bm25[touched], len(bm25))
        if len(touched) > _CANDIDATES:
            touched = touched[np.argpartition(bm25[touched], -_CANDIDATES)[-_CANDIDATES:]]
        if vector is None:
            candidates, dense = touched, np.zeros(len(touched), np.float32)
        else:
            candidates, dense = self._vectors.standardized(vector, touched, nearest=_CANDIDATES)
        lexical = (bm25[candidates] - mean) / deviation
        return self._ranked(candidates, {"dense": dense, "bm25": lexical}, top_k, exclude)

    def _ranked(
        self,
        candidates: NDArray[np.intp],
        parts: dict[str, NDArray[np.float32]],
        top_k: int,
        exclude: Container[str],
    ) -> list[Hit]:
        total = np.sum(list(parts.values()), axis=0)
        hits: list[Hit] = []
        for place in np.argsort(-total, kind="stable").tolist():
            score = float(total[place])
            if score < 0 or len(hits) == top_k:
                break
            entry = self._entries[candidates[place]]
            if entry and entry.id not in exclude:
                shown = {name: round(float(part[place]), 4) for name, part in parts.items()}
                hits.append(Hit(entry, round(score, 4), shown))
        return hits


def spoken(entry: Entry) -> str:
    """The text of a message as it is indexed and embedded: `author: content`."""
    message = entry.message
    return f"{message.author}: {message.content}" if message.author else message.content


def _moments(values: NDArray[np.float32], count: int) -> tuple[float, float]:
    """Mean and deviation of `values` and zeros, `count` in all; the deviation is never 0."""
    mean = float(values.sum()) / count
    variance = float(values @ values) / count - mean**2
    return mean, max(variance, 0.0) ** 0.5 or 1.0
