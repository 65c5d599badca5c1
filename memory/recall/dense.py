"""The vectors of one user in FAISS, float16, by row."""

from array import array
from typing import Protocol, cast

import faiss
import numpy as np
from numpy.typing import NDArray

from memory.types import Vector

_SAMPLE = 128


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
                len(vector), faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
            )
            self._index = cast("_Faiss", quantizer)
        if row in self._places or len(vector) != self._index.d:
            return
        self._places[row] = len(self._rows)
        self._rows.append(row)
        self._index.add(vector.astype(np.float32)[None, :])

    def standardized(
        self, query: Vector, others: NDArray[np.intp], *, nearest: int
    ) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """The cosine as a z-score over all rows, for the nearest rows and for `others`.

        Mean and deviation are those of an even sample, so that the cost does not grow with history.

        Args:
            query: `(dim,)` float32, unit length.
            others: rows that are wanted too; those without a vector are left out.
            nearest: how many rows to search for.

        Returns:
            Rows `(m,)` and their z-scores `(m,)`; both empty where nothing can be compared.
        """
        index, count = self._index, len(self._rows)
        if index is None or len(query) != index.d:
            return np.empty(0, np.intp), np.empty(0, np.float32)
        cosines, near = index.search(query[None, :], min(nearest, count))
        sample = np.unique(np.linspace(0, count - 1, min(_SAMPLE, count)).astype(np.int64))
        sampled = index.reconstruct_batch(sample) @ query
        known = [place for row in others.tolist() if (place := self._places.get(row)) is not None]
        places = np.concatenate([near[0], np.array(known, dtype=np.int64)])
        values = np.concatenate(
            [cosines[0], index.reconstruct_batch(places[len(near[0]) :]) @ query]
        )
        scores = (values - sampled.mean()) / (sampled.std() or 1.0)
        return np.array(self._rows, dtype=np.intp)[places], scores.astype(np.float32)
