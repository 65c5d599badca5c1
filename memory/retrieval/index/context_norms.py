"""Norms of the messages' context vectors, computed once per message.

A context vector is a message's vector plus half of each of the two before it.
"""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from onionskin.memory.retrieval.index.faiss_vectors import FaissIndex
from onionskin.memory.retrieval.index.growable_array import GrowableArray
from onionskin.memory.retrieval.index.message_features import MessageFeatures

NEIGHBOUR_WEIGHT = 0.5
"""The weight of each of the two messages before."""

_BEFORE = 2


class ContextNorms:
    """A cache of norms, each computed when it is first read.

    Args:
        message_features: The order of the messages.
        vectors: The vectors of the messages; a missing one counts as zero.
    """

    def __init__(self, message_features: MessageFeatures, vectors: FaissIndex) -> None:
        self._message_features, self._vectors = message_features, vectors
        self._norms = GrowableArray(np.float32)

    @property
    def size_bytes(self) -> int:
        """Memory of the norms."""
        return self._norms.size_bytes

    def invalidate(self, rows: Iterable[int]) -> None:
        """Drop the norms that depend on the vectors of rows."""
        for first in rows:
            row = first
            for _ in range(_BEFORE + 1):
                if not 0 <= row < len(self._norms):
                    break
                self._norms[row] = math.nan
                row = self._message_features.following(row)

    @property
    def cached(self) -> NDArray[np.float32]:
        """The norm of every row, `(n,)`; NaN where it is not computed yet."""
        if missing := len(self._message_features) - len(self._norms):
            self._norms.extend([math.nan] * missing)
        return self._norms.values

    def norms(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """The norm of each row, `(m,)`."""
        cached = self.cached
        if len(missing := rows[np.isnan(cached[rows])]):
            cached[missing] = self._compute(missing)
        return cached[rows]

    def _compute(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        before = [self._message_features.step(rows, -back) for back in range(1, _BEFORE + 1)]
        sources = np.concatenate([rows, *before])
        vectors = self._vectors.of(np.maximum(sources, 0))[0]
        vectors *= (sources >= 0)[:, None]
        own, *others = vectors.reshape(1 + _BEFORE, len(rows), -1)
        context = own + NEIGHBOUR_WEIGHT * sum(others)
        return np.sqrt(np.einsum("ij,ij->i", context, context))
