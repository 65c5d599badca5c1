"""One user's messages, searchable: FAISS over their vectors, BM25 over their words, one ranking.

Search by vectors alone, exact: what a vector store of LangChain's is asked for.
"""

from collections.abc import Callable, Container
from dataclasses import dataclass
from sys import getsizeof

import numpy as np
from numpy.typing import NDArray

from onionskin.memory.retrieval.index.bm25 import Bm25Index
from onionskin.memory.retrieval.index.context_norms import ContextNorms
from onionskin.memory.retrieval.index.faiss_vectors import EXACT_UPTO, FaissIndex
from onionskin.memory.retrieval.index.message_features import MessageFeatures
from onionskin.memory.retrieval.language.analyzer import TextPipeline, words_of
from onionskin.memory.retrieval.ranking.features import NAMES
from onionskin.memory.retrieval.ranking.query import named_in, strip_names
from onionskin.memory.retrieval.ranking.ranker import Ranked, Ranker
from onionskin.memory.retrieval.ranking.selection import (
    EVERYTHING,
    EvidenceFilter,
    Selection,
    select,
)
from onionskin.memory.retrieval.ranking.weights import Weights, by_group
from onionskin.memory.types.messages import Entry, Vector
from onionskin.memory.types.snapshot import Hit

_EMPTY_BYTES, _ENTRY_BYTES = 2_000, 600


class UserIndex:
    """The index of one user, append-only: a put costs the same however long the history is.

    Rows are numbered in the order of arrival. Deleted rows stay as tombstones until `dead_share`
    says that filling the index anew pays.

    Args:
        tongue: the language it reads in.
        weights: how parts make a score, instead of what was learned for the language.
        exact_upto: up to how many vectors each is compared with the query.
    """

    def __init__(
        self,
        text_pipeline: TextPipeline,
        *,
        weights: Weights | None = None,
        exact_upto: int = EXACT_UPTO,
    ) -> None:
        self._tongue = text_pipeline
        self.entries: list[Entry | None] = []
        self._row_of: dict[str, int] = {}
        self._postings, self.vectors = Bm25Index(), FaissIndex(exact_upto=exact_upto)
        self._rows = MessageFeatures(text_pipeline.words)
        self._surroundings = ContextNorms(self._rows, self.vectors)
        kept = (self._postings, self.vectors, self._rows, self._surroundings)
        self.ranker = Ranker(text_pipeline, *kept, weights=weights)
        self._text_bytes = _EMPTY_BYTES
        self._ahead: Ranked | None = None

    def __len__(self) -> int:
        return len(self._row_of)

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes, deleted rows included."""
        numbers = sum(one.size_bytes for one in (self._rows, self.vectors, self._surroundings))
        return self._text_bytes + self._postings.size_bytes + numbers

    @property
    def dead_share(self) -> float:
        """The share of rows that were deleted."""
        return 1 - len(self._row_of) / len(self.entries) if self.entries else 0.0

    @property
    def pending(self) -> int:
        """How many rows wait for a vector."""
        return len(self.entries) - len(self.vectors)

    @property
    def unembedded(self) -> list[Entry]:
        """The messages without a vector of the embedder in use, oldest first."""
        if not self.pending:
            return []
        missing = (row for row in self._row_of.values() if row not in self.vectors)
        return [entry for row in missing if (entry := self.entries[row])]

    @property
    def outgrown(self) -> bool:
        """Whether there are so many vectors that it is time to `approximate` their search."""
        return self.vectors.outgrown

    def approximate(self) -> None:
        """Go over to an approximate search of vectors; long work, not beside `put`."""
        self.vectors.approximate()

    def put(self, *entries: Entry) -> None:
        """Add messages, or the vectors of those that came without."""
        self._ahead, rows = None, [self._row(entry) for entry in entries]
        placed = zip(rows, entries, strict=True)
        self.vectors.add([(row, one.vector) for row, one in placed if one.vector is not None])
        self._surroundings.forget(rows)

    def _row(self, entry: Entry) -> int:
        """The row of a message, made if it is new."""
        row = self._row_of.get(entry.id)
        if row is None:
            row = len(self.entries)
            self._row_of[entry.id] = row
            self.entries.append(
                Entry(entry.session_id, entry.position, entry.message)  # FAISS holds the vector
            )
            self._text_bytes += _ENTRY_BYTES + getsizeof(entry.message.content)
            tongue = self._tongue
            words = words_of(entry.message.spoken.casefold())
            terms = self._postings.add(tongue.analyze.terms(words))
            self._rows.add(entry, words, terms, tongue.vectors.ids(words))
        return row

    def drop_session(self, session_id: str) -> None:
        """Forget a session's messages."""
        self._ahead = None
        for row, entry in enumerate(self.entries):
            if entry and entry.session_id == session_id:
                self.entries[row] = None
                self._rows.mark_deleted(row)
                del self._row_of[entry.id]

    def strip_names(self, query: str) -> str:
        """The query as it should be embedded: without the speakers' names.

        Short messages that say little but a name would be nearest to it otherwise.
        """
        names = named_in(query.casefold(), self._rows.authors)
        return (strip_names(query, names).strip() or query) if names else query

    def search(
        self,
        query: str,
        vector: Vector | None,
        *,
        top_k: int,
        exclude: Container[str] = (),
        selection: Selection = EVERYTHING,
        beyond: str | None = None,
    ) -> list[Hit]:
        """The messages that answer `query` best.

        Args:
            query: the text.
            vector: the `(dim,)` unit vector of `focus(query)`; None to search by words alone.
            top_k: how many.
            exclude: ids of messages that the prompt shows already.
            selection: which of them may be found, and which are preferred.
            beyond: messages that say this and no more are passed over: a question that was asked
                before is nearest to itself, and answers nothing.

        Returns:
            Hits, best first; none that neither words nor meaning speak for.
        """
        if not self._row_of or top_k <= 0:
            return []
        plain = selection.is_plain
        ranked = self._ahead if plain else None
        if ranked is None or not ranked.answers(query, vector):
            among, rank = selection.rows_of(self.entries), self.ranker.rank
            ranked = rank(query, vector, now=selection.now, among=among, plain=plain)
        if ranked is None:
            return []
        rows: list[int] = ranked.rows.tolist()
        chosen = select(
            ranked.scores,
            lambda place: self.entries[rows[place]],
            supports=EvidenceFilter(
                ranked.parts, ranked.candidates, self._rows, self._tongue.vectors, ranked.read
            ),
            similarities=None if vector is None else ranked.parts[:, NAMES.index("cosine")],
            vectors=lambda: self.vectors.of(ranked.rows)[0],
            top_k=top_k,
            exclude=exclude,
            selection=selection,
            beyond=beyond,
        )
        places = [place for place, _, _ in chosen]
        explained = by_group(ranked.columns[places] * ranked.weights)
        around, count = self._around, selection.neighbours
        return [
            Hit(entry, round(score, 4), said | extra, around(rows[place], count))
            for (place, score, extra), said in zip(chosen, explained, strict=True)
            if (entry := self.entries[rows[place]])
        ]

    def prefetch_ranking(self, query: str, vector: Vector | None) -> None:
        """Do most of a turn's `search` before it is asked for; it holds until the index changes."""
        if self._row_of:
            self._ahead = self.ranker.rank(query, vector, now=EVERYTHING.now)

    def sessions_of(self, rows: NDArray[np.intp]) -> NDArray[np.int32]:
        """The session of each row, by number."""
        return self._rows.sessions(rows)

    def _around(self, row: int, count: int) -> tuple[Entry, ...]:
        """Up to `count` messages before and after a row, of its session."""
        found = map(self.entries.__getitem__, self._rows.around(row, count))
        return tuple(filter(None, found))


@dataclass(frozen=True, slots=True)
class Near:
    """An entry, its cosine with what was asked for, and its `(dim,)` vector."""

    entry: Entry
    cosine: float
    vector: Vector


def nearest(
    index: UserIndex, vector: Vector, *, top_k: int, where: Callable[[Entry], bool]
) -> list[Near]:
    """The entries nearest to a vector, the nearest first; those without a vector are left out.

    Args:
        index: where they are.
        vector: `(dim,)`, unit length.
        top_k: the most.
        where: only entries for which this holds.
    """
    entries = index.entries
    admitted = [row for row, entry in enumerate(entries) if entry and where(entry)]
    if not admitted or not index.vectors.fits(vector):
        return []
    held, known = index.vectors.of(np.array(admitted, np.intp))
    cosines = np.where(known, held @ vector, -np.inf)
    best = np.argsort(-cosines, kind="stable")[:top_k]
    places: list[int] = best[known[best]].tolist()
    return [
        Near(entry, float(cosines[place]), held[place])
        for place in places
        if (entry := entries[admitted[place]])
    ]
