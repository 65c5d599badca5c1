"""A user's messages, searchable: FAISS over their vectors, BM25 over their words, one ranking."""

from collections.abc import Callable, Container, Iterable, Sequence
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


@dataclass(frozen=True, slots=True)
class VectorHit:
    """An entry, its cosine with the query vector, and its own `(dim,)` vector."""

    entry: Entry
    cosine: float
    vector: Vector


class UserIndex:
    """The index of one user, append-only: a put costs the same however long the history is.

    Rows are numbered in the order of arrival. Deleted rows remain as tombstones; a large
    `dead_share` is a reason to rebuild the index.

    Args:
        text_pipeline: Language of the messages.
        weights: Ranking weights to use in place of those learned for the language.
        exact_upto: Number of vectors up to which vector search is exact.
    """

    def __init__(
        self,
        text_pipeline: TextPipeline,
        *,
        weights: Weights | None = None,
        exact_upto: int = EXACT_UPTO,
    ) -> None:
        self._text_pipeline = text_pipeline
        self.entries: list[Entry | None] = []
        self._row_of: dict[str, int] = {}
        self._bm25, self.vectors = Bm25Index(), FaissIndex(exact_upto=exact_upto)
        self._message_features = MessageFeatures(text_pipeline.words)
        self._context_norms = ContextNorms(self._message_features, self.vectors)
        self.ranker = Ranker(
            text_pipeline,
            self._bm25,
            self.vectors,
            self._message_features,
            self._context_norms,
            weights=weights,
        )
        self._text_bytes = _EMPTY_BYTES
        self._dead_without_vector = 0
        self._prefetched: Ranked | None = None

    def __len__(self) -> int:
        return len(self._row_of)

    @property
    def size_bytes(self) -> int:
        """Estimated memory, deleted rows included."""
        columns = (self._message_features, self.vectors, self._context_norms)
        numbers = sum(column.size_bytes for column in columns)
        return self._text_bytes + self._bm25.size_bytes + numbers

    @property
    def dead_share(self) -> float:
        """The share of deleted rows."""
        return 1 - len(self._row_of) / len(self.entries) if self.entries else 0.0

    @property
    def pending(self) -> int:
        """The number of rows without a vector."""
        return len(self.entries) - len(self.vectors) - self._dead_without_vector

    @property
    def unembedded(self) -> list[Entry]:
        """The messages without a vector of the current embedder, oldest first."""
        if not self.pending:
            return []
        missing = (row for row in self._row_of.values() if row not in self.vectors)
        return [entry for row in missing if (entry := self.entries[row])]

    @property
    def outgrown(self) -> bool:
        """Whether there are so many vectors that the index needs `approximate`."""
        return self.vectors.outgrown

    def approximate(self) -> None:
        """Switch to approximate vector search; long-running, and must not run beside `put`."""
        self.vectors.approximate()

    def put(self, *entries: Entry) -> None:
        """Add messages, or the vectors of messages that were added without one."""
        self._prefetched, rows = None, [self._row(entry) for entry in entries]
        placed = zip(rows, entries, strict=True)
        self.vectors.add([(row, entry.vector) for row, entry in placed if entry.vector is not None])
        self._context_norms.invalidate(rows)

    def _row(self, entry: Entry) -> int:
        """The row of a message; a new message gets the next row."""
        row = self._row_of.get(entry.id)
        if row is None:
            row = len(self.entries)
            self._row_of[entry.id] = row
            self.entries.append(
                Entry(entry.session_id, entry.position, entry.message)  # FAISS holds the vector
            )
            self._text_bytes += _ENTRY_BYTES + getsizeof(entry.message.content)
            pipeline = self._text_pipeline
            words = words_of(entry.message.spoken.casefold())
            terms = self._bm25.add(pipeline.analyze.terms(words))
            self._message_features.add(entry, words, terms, pipeline.vectors.ids(words))
        return row

    def drop_session(self, session_id: str) -> None:
        """Delete a session's messages."""
        self._prefetched = None
        for row, entry in enumerate(self.entries):
            if entry and entry.session_id == session_id:
                del self._row_of[entry.id]
                self._delete(row)

    def drop(self, ids: Iterable[str]) -> None:
        """Delete messages by their ids; their neighbours become neighbours."""
        self._prefetched, around = None, set[int]()
        for entry_id in ids:
            row = self._row_of.pop(entry_id, None)
            if row is not None:
                around.update(self._message_features.around(row, 2))
                self._delete(row)
                self._message_features.unlink(row)
        self._context_norms.invalidate([row for row in around if self.entries[row]])

    def _delete(self, row: int) -> None:
        self.entries[row] = None
        self._message_features.mark_deleted(row)
        self._dead_without_vector += row not in self.vectors

    def strip_names(self, query: str) -> str:
        """The query to embed: the text without the speakers' names.

        With the names, the nearest messages would be short ones that contain little but a name.
        """
        names = named_in(query.casefold(), self._message_features.authors)
        return (strip_names(query, names).strip() or query) if names else query

    def search(
        self,
        query: str,
        vector: Vector | None,
        *,
        top_k: int,
        exclude: Container[str] = (),
        selection: Selection = EVERYTHING,
        exclude_text: str | None = None,
    ) -> list[Hit]:
        """The messages that match the query best.

        Args:
            query: The text.
            vector: The `(dim,)` unit vector of `strip_names(query)`; None for words alone.
            top_k: Maximum number of hits.
            exclude: Ids of messages that the prompt already contains.
            selection: Filters and preferences.
            exclude_text: Leave out messages that consist of this text. A question that was asked
                before is nearest to itself, and answers nothing.

        Returns:
            Hits, best first; only messages that match a word or the meaning of the query.
        """
        if not self._row_of or top_k <= 0:
            return []
        plain = selection.is_plain
        ranked = self._prefetched if plain else None
        if ranked is None or not ranked.answers(query, vector, selection.today):
            ranked = self.ranker.rank(
                query,
                vector,
                now=selection.now,
                today=selection.today,
                among=selection.rows_of(self.entries),
                plain=plain,
            )
        if ranked is None:
            return []
        rows: list[int] = ranked.rows.tolist()
        chosen = select(
            ranked.scores,
            list(map(self.entries.__getitem__, rows)),
            has_evidence=EvidenceFilter(
                ranked.features,
                ranked.candidates,
                self._message_features,
                self._text_pipeline.vectors,
                ranked.parse,
            ),
            similarities=None if vector is None else ranked.features[:, NAMES.index("cosine")],
            vectors=lambda: self.vectors.of(ranked.rows)[0],
            top_k=top_k,
            exclude=exclude,
            selection=selection,
            exclude_text=exclude_text,
        )
        if not chosen:
            return []
        places = [place for place, _, _ in chosen]
        parts = by_group(ranked.columns[places] * ranked.weights)
        around, count = self._around, selection.neighbours
        return [
            Hit(entry, round(score, 4), score_parts | bonuses, around(rows[place], count))
            for (place, score, bonuses), score_parts in zip(chosen, parts, strict=True)
            if (entry := self.entries[rows[place]])
        ]

    def prefetch_ranking(self, query: str, vector: Vector | None) -> None:
        """Rank the messages for an expected `search`; the result is valid until the next change."""
        if self._row_of:
            self._prefetched = self.ranker.rank(query, vector, now=EVERYTHING.now)

    def nearest(
        self, vector: Vector, *, top_k: int, where: Callable[[Entry], bool]
    ) -> list[VectorHit]:
        """The entries nearest to a vector by exact search, the nearest first.

        Args:
            vector: `(dim,)`, unit length.
            top_k: Maximum number of entries.
            where: Predicate that an entry must fulfil; entries without a vector are left out.
        """
        rows = [row for row, entry in enumerate(self.entries) if entry and where(entry)]
        if not rows or not self.vectors.fits(vector):
            return []
        vectors, known = self.vectors.of(np.array(rows, np.intp))
        cosines = np.where(known, vectors @ vector, -np.inf)
        best = np.argsort(-cosines, kind="stable")[:top_k]
        places: list[int] = best[known[best]].tolist()
        return [
            VectorHit(entry, float(cosines[place]), vectors[place])
            for place in places
            if (entry := self.entries[rows[place]])
        ]

    def similarities(self, ids: Sequence[str], vector: Vector | None) -> list[float | None]:
        """The cosine of each message and a `(dim,)` unit vector; None where one has no vector."""
        if vector is None or not ids or not self.vectors.fits(vector):
            return [None] * len(ids)
        rows = np.array([self._row_of[entry_id] for entry_id in ids], np.intp)
        cosines, known = self.vectors.cosines(rows, vector)
        return [
            round(cosine, 4) if has_vector else None
            for cosine, has_vector in zip(cosines.tolist(), known.tolist(), strict=True)
        ]

    def vectors_of(self, ids: Sequence[str]) -> list[Vector | None]:
        """The `(dim,)` vector of each message; None where there is none."""
        if not ids:
            return []
        vectors, known = self.vectors.of(np.array([self._row_of[one] for one in ids], np.intp))
        pairs = zip(vectors, known.tolist(), strict=True)
        return [vector if has_vector else None for vector, has_vector in pairs]

    def sessions_of(self, rows: NDArray[np.intp]) -> NDArray[np.int32]:
        """The number of each row's session."""
        return self._message_features.sessions(rows)

    def _around(self, row: int, count: int) -> tuple[Entry, ...]:
        """Up to `count` messages before and after a row, of its session."""
        neighbours = map(self.entries.__getitem__, self._message_features.around(row, count))
        return tuple(filter(None, neighbours))
