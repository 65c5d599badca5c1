"""The vectors of one user in FAISS, a byte a dimension, by row."""

from array import array
from typing import Protocol, cast

import faiss
import numpy as np
from numpy.typing import NDArray

from memory.types import Vector

_SAMPLE = 128
_SCALE = 127.0  # components of unit vectors, as signed bytes


class _Faiss(Protocol):
    """The part of a FAISS index that is used here."""

    d: int
    ntotal: int

    def add(self, x: NDArray[np.float32], /) -> None: ...
    def search(
        self, x: NDArray[np.float32], k: int, /
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]: ...
    def reconstruct_batch(self, keys: NDArray[np.int64], /) -> NDArray[np.float32]: ...


class Vectors:
    """Unit vectors and the rows they belong to; its dimension is that of the first one."""

    def __init__(self) -> None:
        self._index: _Faiss | None = None
        self._rows: array[int] = array("q")
        self._places: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, row: int) -> bool:
        return row in self._places

    def add(self, row: int, vector: NDArray[np.float16]) -> None:
        """Add the `(dim,)` vector of a row; one of another dimension is left out."""
        if self._index is None:
            quantizer = faiss.IndexScalarQuantizer(
                len(vector), faiss.ScalarQuantizer.QT_8bit_direct_signed, faiss.METRIC_INNER_PRODUCT
            )
            self._index = cast("_Faiss", quantizer)
        if row in self._places or len(vector) != self._index.d:
            return
        self._places[row] = len(self._rows)
        self._rows.append(row)
        self._index.add(np.rint(vector.astype(np.float32) * _SCALE)[None, :])

    def standardized(
        self, query: Vector, others: NDArray[np.intp], *, nearest: int
    ) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """The cosine as a z-score over all rows, for the nearest rows and for `others`.

        Mean and deviation are those of an even sample, so that only FAISS reads every vector.

        Args:
            query: `(dim,)` float32, unit length.
            others: rows that are wanted too.
            nearest: how many rows to search for.

        Returns:
            The rows, `(m,)`, each once and in order, and their z-scores, `(m,)` float32; 0 for a
            row without a vector.
        """
        index, count = self._index, len(self._rows)
        if index is None or len(query) != index.d:
            rows = np.unique(others)
            return rows, np.zeros(len(rows), np.float32)
        scaled = np.rint(query * _SCALE)  # FAISS compares bytes with bytes
        found, near = index.search(scaled[None, :], min(nearest, count))
        sample = np.linspace(0, count - 1, min(_SAMPLE, count)).astype(np.int64)
        known = [place for row in others.tolist() if (place := self._places.get(row)) is not None]
        places = np.array(known, dtype=np.int64)
        vectors = index.reconstruct_batch(np.concatenate([sample, places]))
        cosines = vectors @ scaled
        mean, deviation = cosines[: len(sample)].mean(), cosines[: len(sample)].std() or 1.0
        row_of = np.frombuffer(self._rows, dtype=np.int64)
        rows = np.union1d(others, row_of[near[0]])
        scores = np.zeros(len(rows), np.float32)
        for where, values in ((places, cosines[len(sample) :]), (near[0], found[0])):
            scores[np.searchsorted(rows, row_of[where])] = (values - mean) / deviation
        return rows, scores
