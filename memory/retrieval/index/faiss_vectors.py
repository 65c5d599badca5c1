"""A user's vectors in FAISS, one byte per dimension, by row.

Search is exact up to `EXACT_UPTO` vectors. A larger index becomes an inverted file (IVF), which
compares a query with the vectors in the nearest lists.

Source: Sivic and Zisserman, "Video Google" (2003); FAISS's IndexIVFScalarQuantizer.
"""

from array import array
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import faiss
import numpy as np
from numpy.typing import NDArray

from onionskin.memory.retrieval.index.growable_array import GrowableArray
from onionskin.memory.types.messages import Vector

EXACT_UPTO = 100_000
"""The number of vectors up to which a query is compared with all of them."""

_SCALE = 127.0  # components of unit vectors, as signed bytes
_ZERO = 128  # FAISS stores signed bytes with this added
_NONE, _PLACE_BYTES = -1, 16
_GROWTH = 4  # the IVF index is trained again after growing by this factor
_LISTS_PER_ROOT, _MAX_LISTS = 1.6, 2048
_PROBED = 0.25  # the share of lists that a search visits
_TRAINING_POINTS, _TRAINING_ROUNDS = 40, 4
_BATCH = 10_000


class FaissIndex:
    """Unit vectors by row; the first vector sets the dimension.

    Args:
        exact_upto: Number of vectors up to which search is exact.
    """

    def __init__(self, *, exact_upto: int = EXACT_UPTO) -> None:
        faiss.omp_set_num_threads(1)  # one query is too small for several threads
        self._index: _Faiss | None = None
        self._exact, self._bound = True, exact_upto
        self._rows = GrowableArray(np.int64)
        self._places: array[int] = array("q")

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, row: int) -> bool:
        return row < len(self._places) and self._places[row] != _NONE

    @property
    def size_bytes(self) -> int:
        """Memory of the vectors and their places."""
        return len(self) * (self._index.d + _PLACE_BYTES) if self._index else 0

    @property
    def outgrown(self) -> bool:
        """Whether the index has outgrown its kind of search and needs `approximate`."""
        return len(self) > self._bound

    def approximate(self) -> None:
        """Rebuild as an IVF index; takes a second for 100,000 vectors.

        Must not run beside `add`; searches may run beside it.
        """
        if self._index is not None:
            rebuilt = _build_ivf(self._at, len(self), self._index.d)
            self._index, self._exact = cast("_Faiss", rebuilt), False
            self._bound = len(self) * _GROWTH

    def add(self, vectors: Sequence[tuple[int, NDArray[np.float16]]]) -> None:
        """Add the `(dim,)` vectors of rows, except those of another dimension."""
        if self._index is None and vectors:
            quantizer = faiss.IndexScalarQuantizer(
                len(vectors[0][1]),
                faiss.ScalarQuantizer.QT_8bit_direct_signed,
                faiss.METRIC_INNER_PRODUCT,
            )
            self._index = cast("_Faiss", quantizer)
        fitting: list[NDArray[np.float16]] = []
        for row, vector in vectors:
            if row in self or self._index is None or len(vector) != self._index.d:
                continue
            self._places.extend([_NONE] * (row + 1 - len(self._places)))
            self._places[row] = len(self._rows)
            self._rows.append(row)
            fitting.append(vector)
        if self._index is not None and fitting:
            self._index.add(np.rint(np.stack(fitting).astype(np.float32) * _SCALE))

    def fits(self, query: Vector | None) -> bool:
        """Whether a query has the index's dimension."""
        return query is not None and self._index is not None and len(query) == self._index.d

    def nearest(
        self, query: Vector, count: int, *, among: NDArray[np.intp] | None = None
    ) -> NDArray[np.intp]:
        """The rows nearest to a `(dim,)` query that `fits`, the nearest first.

        Args:
            query: A vector of the index's dimension.
            count: Maximum number of rows.
            among: The only rows to search; None for all.
        """
        if self._index is None:
            return np.empty(0, np.intp)
        if among is not None:
            vectors, known = self.of(among)
            cosines = np.where(known, vectors @ query, -np.inf)
            return among[np.argsort(-cosines, kind="stable")[:count]]
        scaled = np.rint(query * _SCALE)[None, :]  # FAISS compares bytes with bytes
        _, places = self._index.search(scaled, min(count, len(self._rows)))
        return self._rows.values[places[0][places[0] >= 0]].astype(np.intp)

    def cosines(
        self, rows: NDArray[np.intp], query: Vector
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """The cosines of rows with a `(dim,)` query that `fits`, and which rows have a vector.

        Returns:
            `(m,)` cosines, 0 for a row without a vector; and `(m,)` bool.
        """
        places, known = self._places_of(rows)
        # Subtracting the offset from the product saves a pass over the bytes.
        cosines = (self._stored(places) @ query - self._offset * query.sum()) / _SCALE
        if not known.all():
            cosines[~known] = 0
        return cosines, known

    def of(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """The vectors of rows, `(m, dim)`, zero where there is none; and which rows have one."""
        if self._index is None:
            return np.zeros((len(rows), 1), np.float32), np.zeros(len(rows), np.bool_)
        places, known = self._places_of(rows)
        vectors = self._at(places)
        vectors /= _SCALE
        if not known.all():
            vectors[~known] = 0
        return vectors, known

    @property
    def codes(self) -> NDArray[np.uint8] | None:
        """FAISS's buffer of vectors, one after the other, 128 added to each component.

        None for an empty index, and for an IVF index, which has no such buffer.
        """
        if self._index is None or not self._exact:
            return None
        flat = faiss.rev_swig_ptr(self._index.codes.data(), self._index.ntotal * self._index.d)
        return cast("NDArray[np.uint8]", flat)

    @property
    def places(self) -> "array[int]":
        """The place of each row's vector in FAISS, -1 for none; rows past its end have none.

        The array grows, so callers must not keep it.
        """
        return self._places

    def _places_of(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The places of the rows' vectors, 0 where there is none, and which rows have one."""
        table = np.frombuffer(self._places, np.int64)
        places = table.take(rows, mode="clip")
        known = (places != _NONE) & (rows < len(table))
        if not known.all():
            places[~known] = 0
        return places, known

    def _at(self, places: NDArray[np.integer]) -> NDArray[np.float32]:
        """The vectors at places, `(m, dim)`, unscaled."""
        vectors = self._stored(places)
        if self._offset:
            vectors -= self._offset
        return vectors

    @property
    def _offset(self) -> int:
        """The number added to each component in `_stored`."""
        return _ZERO if self._exact else 0

    def _stored(self, places: NDArray[np.integer]) -> NDArray[np.float32]:
        """The vectors at places as FAISS returns them, `(m, dim)`."""
        index, codes = self._index, self.codes
        if index is None:
            return np.empty((0, 1), np.float32)
        if codes is None:
            return index.reconstruct_batch(places.astype(np.int64))
        return codes.reshape(index.ntotal, index.d)[places].astype(np.float32)


def _build_ivf(
    vectors: Callable[[NDArray[np.integer]], NDArray[np.float32]], count: int, dim: int
) -> Any:
    """An IVF index over `vectors(arange(count))`.

    Args:
        vectors: Returns the `(m, dim)` vectors at places, whole numbers between -128 and 127.
        count: Number of vectors.
        dim: Dimension.
    """
    lists = min(int(_LISTS_PER_ROOT * count**0.5), _MAX_LISTS)
    # FAISS's classes come from SWIG and have no useful types.
    index: Any = cast("Any", faiss).IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(dim),
        dim,
        lists,
        faiss.ScalarQuantizer.QT_8bit_direct_signed,
        faiss.METRIC_INNER_PRODUCT,
        False,
    )
    index.nprobe = max(1, int(lists * _PROBED))
    index.cp.niter, index.cp.max_points_per_centroid = _TRAINING_ROUNDS, _TRAINING_POINTS
    index.cp.min_points_per_centroid = 1
    index.cp.spherical = True
    points = min(count, lists * _TRAINING_POINTS)
    sample = np.random.default_rng(0).choice(count, points, replace=False)
    index.train(vectors(sample))
    index.set_direct_map_type(cast("Any", faiss).DirectMap.Array)
    for start in range(0, count, _BATCH):
        index.add(vectors(np.arange(start, min(start + _BATCH, count))))
    return index


class _Faiss(Protocol):
    """The methods of a FAISS index that are used here."""

    d: int
    ntotal: int

    def add(self, x: NDArray[np.float32], /) -> None: ...
    def search(
        self, x: NDArray[np.float32], k: int, /
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]: ...
    def reconstruct_batch(self, key: NDArray[np.int64], /) -> NDArray[np.float32]: ...

    @property
    def codes(self) -> "_Bytes": ...


class _Bytes(Protocol):
    def data(self) -> object: ...
