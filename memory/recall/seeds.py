"""The rows worth ranking: the best of a search by words and of one by meaning, with neighbours."""

import numpy as np
from numpy.typing import NDArray

from memory.recall.candidates import distinct
from memory.recall.dense import Vectors
from memory.recall.lexical import Postings
from memory.recall.question import Question
from memory.recall.rows import Rows

EVERY_ROW = 400
"""With no more rows than this, all are ranked."""
SEEDS = 128
"""So many of either search; their best bring their neighbours."""

_WITH_NEIGHBOURS = 64
_MOST_PASSED_OVER = 1024
_SATURATION = 0.4


def seeds(
    question: Question,
    postings: Postings,
    vectors: Vectors,
    rows: Rows,
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


def passed_over(rows: Rows) -> int:
    """How many more to ask FAISS for, since deleted rows will be passed over."""
    return min(len(rows.dead), _MOST_PASSED_OVER)
