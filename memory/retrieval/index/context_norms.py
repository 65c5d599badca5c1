"""How long each message's vector is, taken together with half of those of the two before it.

That does not depend on what is asked, so it is reckoned once for each message.
"""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from onionskin.memory.retrieval.index.faiss_vectors import FaissIndex
from onionskin.memory.retrieval.index.growable_array import GrowableArray
from onionskin.memory.retrieval.index.message_features import MessageFeatures

BEFORE = 0.5
"""What each of the two before counts for."""

_REACH = 2


class ContextNorms:
    """The lengths, each reckoned when it is first asked for.

    Args:
        rows: which message follows which.
        vectors: of the messages; one that has none counts as zero.
    """

    def __init__(self, rows: MessageFeatures, vectors: FaissIndex) -> None:
        self._rows, self._vectors = rows, vectors
        self._lengths = GrowableArray(np.float32)

    @property
    def size_bytes(self) -> int:
        """What the lengths take."""
        return self._lengths.size_bytes

    def forget(self, rows: Iterable[int]) -> None:
        """Reckon anew what the vectors of rows go into: these have just come."""
        for first in rows:
            row = first
            for _ in range(_REACH + 1):
                if not 0 <= row < len(self._lengths):
                    break
                self._lengths[row] = math.nan
                row = self._rows.following(row)

    @property
    def known(self) -> NDArray[np.float32]:
        """The length of every row, `(n,)`; not a number where it was never asked for."""
        if missing := len(self._rows) - len(self._lengths):
            self._lengths.extend([math.nan] * missing)
        return self._lengths.values

    def lengths(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """The length of each of the rows, `(m,)`."""
        held = self.known
        if len(unknown := rows[np.isnan(held[rows])]):
            held[unknown] = self._compute(unknown)
        return held[rows]

    def _compute(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        before = [self._rows.step(rows, -back) for back in range(1, _REACH + 1)]
        there = np.concatenate([rows, *before])
        held = self._vectors.of(np.maximum(there, 0))[0]
        held *= (there >= 0)[:, None]
        own, *others = held.reshape(1 + _REACH, len(rows), -1)
        together = own + BEFORE * sum(others)
        return np.sqrt(np.einsum("ij,ij->i", together, together))
