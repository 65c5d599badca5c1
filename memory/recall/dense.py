"""The vectors of one user in FAISS, a byte a dimension, by row."""

from array import array
from typing import Protocol, cast

import faiss
import numpy as np
from numpy.typing import NDArray

from memory.recall.column import Column
from memory.types import Vector

_SCALE = 127.0  # components of unit vectors, as signed bytes
_ZERO = 128  # FAISS stores signed bytes with this added
_NONE = -1


class _Faiss(Protocol):
    """The part of a FAISS index that is used here."""

    d: int
    ntotal: int

    def add(self, x: NDArray[np.float32], /) -> None: ...
    def search(
        self, x: NDArray[np.float32], k: int, /
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]: ...

    @property
    def codes(self) -> "_Bytes": ...


class _Bytes(Protocol):
    def data(self) -> object: ...


class Vectors:
    """Unit vectors and the rows they belong to; its dimension is that of the first one."""

    def __init__(self) -> None:
        faiss.omp_set_num_threads(1)  # one query is too small a job to be shared out
        self._index: _Faiss | None = None
        self._rows = Column(np.int64)
        self._places: array[int] = array("q")

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, row: int) -> bool:
        return row < len(self._places) and self._places[row] != _NONE

    def add(self, row: int, vector: NDArray[np.float16]) -> None:
        """Add the `(dim,)` vector of a row; one of another dimension is left out."""
        if self._index is None:
            quantizer = faiss.IndexScalarQuantizer(
                len(vector), faiss.ScalarQuantizer.QT_8bit_direct_signed, faiss.METRIC_INNER_PRODUCT
            )
            self._index = cast("_Faiss", quantizer)
        if row in self or len(vector) != self._index.d:
            return
        self._places.extend([_NONE] * (row + 1 - len(self._places)))
        self._places[row] = len(self._rows)
        self._rows.append(row)
        self._index.add(np.rint(vector.astype(np.float32) * _SCALE)[None, :])

    def fits(self, query: Vector | None) -> bool:
        """Whether there is something to compare the query with."""
        return query is not None and self._index is not None and len(query) == self._index.d

    def nearest(
        self, query: Vector, count: int, *, among: NDArray[np.intp] | None = None
    ) -> NDArray[np.intp]:
        """The rows nearest to a `(dim,)` query that `fits`, the nearest first."""
        if self._index is None:
            return np.empty(0, np.intp)
        if among is not None:
            held, known = self.of(among)
            nearness = np.where(known, held @ query, -np.inf)
            return among[np.argsort(-nearness, kind="stable")[:count]]
        scaled = np.rint(query * _SCALE)[None, :]  # FAISS compares bytes with bytes
        _, found = self._index.search(scaled, min(count, len(self._rows)))
        return self._rows.values[found[0]].astype(np.intp)

    def of(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """The vectors of rows, `(m, dim)`, and which rows have one; the others' are zero."""
        if self._index is None:
            return np.zeros((len(rows), 1), np.float32), np.zeros(len(rows), np.bool_)
        table = np.frombuffer(self._places, np.int64)
        inside = rows < len(table)
        places = np.where(inside, table[np.where(inside, rows, 0)], _NONE)
        known = places != _NONE
        vectors = self._codes()[np.where(known, places, 0)].astype(np.float32)
        vectors -= _ZERO
        vectors /= _SCALE
        if not known.all():
            vectors[~known] = 0
        return vectors, known

    def _codes(self) -> NDArray[np.uint8]:
        """FAISS's own bytes, `(n, dim)`; valid until the next `add`."""
        index = self._index
        if index is None:
            return np.empty((0, 1), np.uint8)
        flat = faiss.rev_swig_ptr(index.codes.data(), index.ntotal * index.d)
        return cast("NDArray[np.uint8]", flat).reshape(index.ntotal, index.d)
