"""Search by vectors alone, exact: what a vector store of LangChain's is asked for."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from memory.recall.index import UserIndex
from memory.types import Entry, Vector


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
