"""The rows worth ranking, and their neighbours.

The rows worth ranking: the best of a search by words and of one by meaning, with neighbours.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from onionskin.memory.retrieval.index.bm25 import Bm25Index, Found
from onionskin.memory.retrieval.index.faiss_vectors import FaissIndex
from onionskin.memory.retrieval.index.message_features import MessageFeatures
from onionskin.memory.retrieval.ranking.query import ParsedQuery

Floats = NDArray[np.floating[Any]]
STEPS = (-2, -1, 0, 1, 2)
"""How far neighbours are looked at, in messages of the same session."""


_NOWHERE = -1


class Candidates:
    """Candidate rows and their neighbours, laid out so that a part is a few array operations.

    Args:
        rows: `(m,)` ascending.
        near: `(len(STEPS), m)`, the rows so many messages on; negative where there is none.
        all: `(n,)` ascending, all of `near` that there are.
        place: `(len(STEPS), m)`, where in `all` each of `near` stands.
        row_count: how many rows there are, of which these are some.
    """

    def __init__(
        self,
        rows: NDArray[np.intp],
        near: NDArray[np.intp],
        all: NDArray[np.intp],  # noqa: A002
        place: NDArray[np.intp],
        row_count: int,
    ) -> None:
        self.rows, self.all, self.row_count = rows, all, row_count
        self._near, self._place = near, place
        self._there = (near >= 0).astype(np.float32)

    @classmethod
    def of(cls, rows: NDArray[np.intp], kept: MessageFeatures) -> "Candidates":
        """The candidates at rows, `(m,)` ascending."""
        near = kept.near(rows)
        if len(rows) == len(kept):  # all of them
            return cls(rows, near, rows, near, len(kept))
        found = distinct(near, len(kept))
        return cls(rows, near, found, _places_of(found, len(kept))[near], len(kept))

    def among(self, chosen: NDArray[np.intp]) -> "Candidates":
        """Only those at `chosen` places, which ascend, and their neighbours."""
        near, place = self._near[:, chosen], self._place[:, chosen]
        kept = np.zeros(len(self.all), np.bool_)
        kept[place[near >= 0]] = True
        moved = np.cumsum(kept) - 1
        place = moved.take(place, mode="clip")
        return Candidates(self.rows[chosen], near, self.all[kept], place, self.row_count)

    def counts(self, found: Found) -> Floats:
        """How often each term of a query stands in each of `all`: `(n, terms)`."""
        place = _places_of(self.all, self.row_count)[found.rows]
        here = place != _NOWHERE
        counts = np.zeros((len(self.all), len(found.weights)), np.float32)
        counts[place[here], found.place[here]] = found.counts[here]
        return counts

    def at(self, values: Floats, by: int) -> Floats:
        """Of `values`, a row for each of `all`: the rows `by` messages on; 0 where none is."""
        step = by - STEPS[0]
        where: NDArray[np.intp] = self._place[step]
        found = values.take(where, axis=0, mode="clip")
        if by:
            there: NDArray[np.float32] = self._there[step]
            found *= there[:, None] if values.ndim > 1 else there
        return found


def distinct(rows: NDArray[np.intp], row_count: int) -> NDArray[np.intp]:
    """The rows that occur, each once, ascending; negative ones left out.

    Args:
        rows: of any shape.
        row_count: how many rows there are.
    """
    seen = np.zeros(row_count + 1, np.bool_)
    seen[rows] = True  # -1 is the one past the last row
    return np.flatnonzero(seen[:-1])


def _places_of(rows: NDArray[np.intp], row_count: int) -> NDArray[np.intp]:
    """Where in `rows` each row stands, `(row_count + 1,)`; -1 for those that do not."""
    places = np.full(row_count + 1, _NOWHERE, np.intp)
    places[rows] = np.arange(len(rows))
    return places


EVERY_ROW = 400
"""With no more rows than this, all are ranked."""
SEEDS = 128
"""So many of either search; their best bring their neighbours."""

_WITH_NEIGHBOURS = 64
_MOST_PASSED_OVER = 1024
_SATURATION = 0.4


def find_seeds(
    question: ParsedQuery,
    postings: Bm25Index,
    vectors: FaissIndex,
    rows: MessageFeatures,
    *,
    among: NDArray[np.intp] | None = None,
) -> NDArray[np.intp]:
    """The rows, `(m,)` ascending; deleted ones take up no place.

    Args:
        question: what is looked for.
        postings: of all rows.
        vectors: of all rows.
        rows: which message follows which.
        among: only these rows, ascending; None for all.
    """
    scores = postings.scores(question.found, k1=_SATURATION, b=0)
    if among is not None:
        kept = np.zeros(len(scores), np.bool_)
        kept[among] = True
        scores *= kept
    scores[rows.dead] = 0
    touched = np.flatnonzero(scores > 0)
    if len(touched) > SEEDS:
        touched = _best(touched, scores[touched])
    found = [touched[np.argsort(-scores[touched], kind="stable")]]
    if question.vector is not None and vectors.fits(question.vector):
        more = passed_over(rows)
        near = vectors.nearest(question.vector, SEEDS + more, among=among)
        found.append(near[~np.isin(near, rows.dead)][:SEEDS] if more else near)
    best = np.concatenate([one[:_WITH_NEIGHBOURS] for one in found])
    beside = [rows.step(best, by) for by in (-1, 1, 2)]
    reached = distinct(np.concatenate([*found, *beside]), len(rows))
    return reached if among is None else np.intersect1d(reached, among)


def _best(rows: NDArray[np.intp], scores: NDArray[np.float64]) -> NDArray[np.intp]:
    """The rows with the `SEEDS` best scores; of those that are even at the end, the oldest."""
    least = np.partition(scores, -SEEDS)[-SEEDS]
    better, even = rows[scores > least], rows[scores == least]
    return np.sort(np.concatenate([better, even[: SEEDS - len(better)]]))


def passed_over(rows: MessageFeatures) -> int:
    """How many more to ask FAISS for, since deleted rows will be passed over."""
    return min(len(rows.dead), _MOST_PASSED_OVER)
