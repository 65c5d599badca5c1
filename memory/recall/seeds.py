"""The rows worth ranking: the best of a search by words and of one by meaning, with neighbours."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memory.recall.candidates import distinct
from memory.recall.dense import Vectors
from memory.recall.lexical import Postings
from memory.recall.question import Question
from memory.recall.rows import Rows

_SATURATION = 0.4


class Breadth(NamedTuple):
    """How much is ranked.

    Attributes:
        everything: up to so many rows, all of them.
        seeds: of more, the best of each search.
        with_neighbours: the best of those, whose neighbours are ranked too.
    """

    everything: int
    seeds: int
    with_neighbours: int


WIDE, NARROW = Breadth(400, 128, 64), Breadth(256, 64, 48)
"""For learned weights, and for those made by hand, which find the best few among less."""


def seeds(
    question: Question,
    postings: Postings,
    vectors: Vectors,
    rows: Rows,
    *,
    breadth: Breadth = WIDE,
    among: NDArray[np.intp] | None = None,
) -> NDArray[np.intp]:
    """The rows, `(m,)` ascending.

    Args:
        question: what is looked for.
        postings: of all rows.
        vectors: of all rows.
        rows: which message follows which.
        breadth: how many.
        among: only these rows, ascending; None for all.
    """
    scores = postings.scores(question.found, k1=_SATURATION, b=0)
    if among is not None:
        kept = np.zeros(len(scores), np.bool_)
        kept[among] = True
        scores *= kept
    touched = np.flatnonzero(scores > 0)
    if len(touched) > breadth.seeds:
        touched = touched[np.argpartition(scores[touched], -breadth.seeds)[-breadth.seeds :]]
    found = [touched[np.argsort(-scores[touched], kind="stable")]]
    if question.vector is not None and vectors.fits(question.vector):
        found.append(vectors.nearest(question.vector, breadth.seeds, among=among))
    best = np.concatenate([one[: breadth.with_neighbours] for one in found])
    near = [rows.step(best, by) for by in (-1, 1, 2)]
    reached = distinct(np.concatenate([*found, *near]), len(rows))
    return reached if among is None else np.intersect1d(reached, among)
