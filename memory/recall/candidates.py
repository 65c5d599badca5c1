"""The rows worth ranking, and their neighbours."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from memory.recall.rows import Rows

Floats = NDArray[np.floating[Any]]
STEPS = (-2, -1, 0, 1, 2)
"""How far neighbours are looked at, in messages of the same session."""


class Candidates:
    """Candidate rows and their neighbours, laid out so that a part is a few array operations.

    Args:
        rows: `(m,)` ascending.
        near: `(len(STEPS), m)`, the rows so many messages on; negative where there is none.
        all: `(n,)` ascending, all of `near` that there are.
        place: `(len(STEPS), m)`, where in `all` each of `near` stands.
    """

    def __init__(
        self,
        rows: NDArray[np.intp],
        near: NDArray[np.intp],
        all: NDArray[np.intp],  # noqa: A002
        place: NDArray[np.intp],
    ) -> None:
        self.rows, self.all = rows, all
        self._near, self._place = near, place
        self._there = (near >= 0).astype(np.float32)

    @classmethod
    def of(cls, rows: NDArray[np.intp], kept: Rows) -> "Candidates":
        """The candidates at rows, `(m,)` ascending."""
        near = kept.near(rows)
        if len(rows) == len(kept):  # all of them
            return cls(rows, near, rows, np.maximum(near, 0))
        found = np.unique(near)
        found = found[found >= 0]
        return cls(rows, near, found, np.searchsorted(found, near))

    def among(self, chosen: NDArray[np.intp]) -> "Candidates":
        """Only those at `chosen` places, which ascend, and their neighbours."""
        near, place = self._near[:, chosen], self._place[:, chosen]
        kept = np.zeros(len(self.all), np.bool_)
        kept[place[near >= 0]] = True
        moved = np.cumsum(kept) - 1
        return Candidates(self.rows[chosen], near, self.all[kept], moved.take(place, mode="clip"))

    def at(self, values: Floats, by: int) -> Floats:
        """Of `values`, a row for each of `all`: the rows `by` messages on; 0 where none is."""
        step = by - STEPS[0]
        where: NDArray[np.intp] = self._place[step]
        found = values.take(where, axis=0, mode="clip")
        if by:
            there: NDArray[np.float32] = self._there[step]
            found *= there[:, None] if values.ndim > 1 else there
        return found
