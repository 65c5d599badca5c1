"""Candidate generation: the rows worth ranking, and their neighbours in the session."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from onionskin.memory.retrieval.index.bm25 import Bm25Index, Postings
from onionskin.memory.retrieval.index.faiss_vectors import FaissIndex
from onionskin.memory.retrieval.index.message_features import MessageFeatures
from onionskin.memory.retrieval.ranking.query import ParsedQuery

Floats = NDArray[np.floating[Any]]
OFFSETS = (-2, -1, 0, 1, 2)
"""Offsets of a row's window, in messages of the same session."""
EVERY_ROW = 400
"""An index of at most this many rows is ranked as a whole."""
SEEDS = 128
"""Hits taken from each of the two searches."""

_NOWHERE = -1
_WITH_NEIGHBOURS = 64  # the best of each search add their neighbours
_MAX_EXTRA = 1024
_SATURATION = 0.4  # BM25's k1


class Candidates:
    """Candidate rows and their windows, laid out so that a feature is a few array operations.

    Args:
        rows: `(m,)` ascending.
        windows: `(len(OFFSETS), m)`, the rows at each offset; negative where there is none.
        context: `(n,)` ascending, the distinct rows of `windows`.
        places: `(len(OFFSETS), m)`, the place of each window row in `context`.
        row_count: Rows in the whole index.
    """

    def __init__(
        self,
        rows: NDArray[np.intp],
        windows: NDArray[np.intp],
        context: NDArray[np.intp],
        places: NDArray[np.intp],
        row_count: int,
    ) -> None:
        self.rows, self.context, self.row_count = rows, context, row_count
        self._windows, self._places = windows, places
        self._exists = (windows >= 0).astype(np.float32)

    @classmethod
    def of(cls, rows: NDArray[np.intp], message_features: MessageFeatures) -> "Candidates":
        """The candidates at rows, `(m,)` ascending."""
        windows, row_count = message_features.windows(rows), len(message_features)
        if len(rows) == row_count:
            return cls(rows, windows, rows, windows, row_count)
        context = distinct(windows, row_count)
        return cls(rows, windows, context, _places_of(context, row_count)[windows], row_count)

    def subset(self, chosen: NDArray[np.intp]) -> "Candidates":
        """The candidates at ascending places, with their windows."""
        windows, places = self._windows[:, chosen], self._places[:, chosen]
        used = np.zeros(len(self.context), np.bool_)
        used[places[windows >= 0]] = True
        moved = np.cumsum(used) - 1
        places = moved.take(places, mode="clip")
        return Candidates(self.rows[chosen], windows, self.context[used], places, self.row_count)

    def counts(self, postings: Postings) -> Floats:
        """How often each term of a query occurs in each row of `context`: `(n, terms)`."""
        places = _places_of(self.context, self.row_count)[postings.rows]
        inside = places != _NOWHERE
        counts = np.zeros((len(self.context), len(postings.idf)), np.float32)
        counts[places[inside], postings.term[inside]] = postings.counts[inside]
        return counts

    def at(self, values: Floats, offset: int) -> Floats:
        """The values at an offset from each candidate; 0 where there is no row.

        Args:
            values: A value or a row of values for each row of `context`.
            offset: One of `OFFSETS`.
        """
        step = offset - OFFSETS[0]
        places: NDArray[np.intp] = self._places[step]
        moved = values.take(places, axis=0, mode="clip")
        if offset:
            exists: NDArray[np.float32] = self._exists[step]
            moved *= exists[:, None] if values.ndim > 1 else exists
        return moved


def distinct(rows: NDArray[np.intp], row_count: int) -> NDArray[np.intp]:
    """The distinct rows, ascending, without negative ones.

    Args:
        rows: Rows in an array of any shape.
        row_count: Rows in the whole index.
    """
    seen = np.zeros(row_count + 1, np.bool_)
    seen[rows] = True  # -1 is the place past the last row
    return np.flatnonzero(seen[:-1])


def _places_of(rows: NDArray[np.intp], row_count: int) -> NDArray[np.intp]:
    """The place of each row of the index in `rows`, `(row_count + 1,)`; -1 for the others."""
    places = np.full(row_count + 1, _NOWHERE, np.intp)
    places[rows] = np.arange(len(rows))
    return places


class CandidateGenerator:
    """Finds the rows worth ranking: the best of a word search and of a vector search.

    Args:
        bm25: The terms of all rows.
        vectors: The vectors of all rows.
        message_features: The order of the messages, and which were deleted.
    """

    def __init__(
        self, bm25: Bm25Index, vectors: FaissIndex, message_features: MessageFeatures
    ) -> None:
        self._bm25, self._vectors, self._message_features = bm25, vectors, message_features

    def generate(self, query: ParsedQuery, among: NDArray[np.intp] | None = None) -> Candidates:
        """The candidates for a query: all rows of a small index, else the best of both searches.

        Args:
            query: The parsed query.
            among: The only rows to search, ascending; None for all.
        """
        rows = np.arange(len(self._message_features)) if among is None else among
        if len(rows) > EVERY_ROW:
            rows = self._search(query, among)
        return Candidates.of(rows, self._message_features)

    def nearest(
        self, vector: NDArray[np.float32], among: NDArray[np.intp] | None = None
    ) -> NDArray[np.intp]:
        """The rows nearest to a vector; enough for `SEEDS` of them after deleted ones are removed.

        Args:
            vector: `(dim,)`, of the index's dimension.
            among: The only rows to search, ascending; None for all.
        """
        extra = min(len(self._message_features.deleted), _MAX_EXTRA)
        return self._vectors.nearest(vector, SEEDS + extra, among=among)

    def _search(self, query: ParsedQuery, among: NDArray[np.intp] | None) -> NDArray[np.intp]:
        """The rows, `(m,)` ascending; deleted rows do not count against the limits."""
        seeds = [self._by_words(query, among)]
        if query.vector is not None and self._vectors.fits(query.vector):
            nearest, deleted = self.nearest(query.vector, among), self._message_features.deleted
            seeds.append(nearest[~np.isin(nearest, deleted)][:SEEDS] if len(deleted) else nearest)
        best = np.concatenate([rows[:_WITH_NEIGHBOURS] for rows in seeds])
        neighbours = [self._message_features.step(best, offset) for offset in (-1, 1, 2)]
        rows = distinct(np.concatenate([*seeds, *neighbours]), len(self._message_features))
        return rows if among is None else np.intersect1d(rows, among)

    def _by_words(self, query: ParsedQuery, among: NDArray[np.intp] | None) -> NDArray[np.intp]:
        """The best `SEEDS` rows by BM25, best first."""
        scores = self._bm25.scores(query.postings, k1=_SATURATION, b=0)
        if among is not None:
            admitted = np.zeros(len(scores), np.bool_)
            admitted[among] = True
            scores *= admitted
        scores[self._message_features.deleted] = 0
        rows = np.flatnonzero(scores > 0)
        if len(rows) > SEEDS:
            rows = _best(rows, scores[rows])
        return rows[np.argsort(-scores[rows], kind="stable")]


def _best(rows: NDArray[np.intp], scores: NDArray[np.float64]) -> NDArray[np.intp]:
    """The rows with the `SEEDS` best scores, ascending; ties at the end go to the oldest."""
    least = np.partition(scores, -SEEDS)[-SEEDS]
    better, even = rows[scores > least], rows[scores == least]
    return np.sort(np.concatenate([better, even[: SEEDS - len(better)]]))
