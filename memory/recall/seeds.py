"""The rows worth ranking: the best of a search by words and of one by meaning, with neighbours."""

import numpy as np
from numpy.typing import NDArray

from memory.recall.candidates import distinct
from memory.recall.dense import Vectors
from memory.recall.lexical import Postings
from memory.recall.question import Question
from memory.recall.rows import Rows

_SEEDS = 128
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
    if len(touched) > _SEEDS:
        touched = touched[np.argpartition(scores[touched], -_SEEDS)[-_SEEDS:]]
    found = [touched[np.argsort(-scores[touched], kind="stable")]]
    if question.vector is not None and vectors.fits(question.vector):
        more = min(len(rows.dead), _MOST_PASSED_OVER)
        near = vectors.nearest(question.vector, _SEEDS + more, among=among)
        found.append(near[~np.isin(near, rows.dead)][:_SEEDS] if more else near)
    best = np.concatenate([one[:_WITH_NEIGHBOURS] for one in found])
    beside = [rows.step(best, by) for by in (-1, 1, 2)]
    reached = distinct(np.concatenate([*found, *beside]), len(rows))
    return reached if among is None else np.intersect1d(reached, among)
