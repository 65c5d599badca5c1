"""The vectors of one user in FAISS, a byte a dimension, by row.

An approximate FAISS index: vectors in cells, of which a search looks into the nearest few.

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

_CELLS_PER_ROOT, _MOST_CELLS = 1.6, 2048
_PROBED = 0.25  # the share of cells that a search looks into
_POINTS, _ROUNDS = 40, 4
_SLICE = 10_000


def approximate(
    vectors: Callable[[NDArray[np.integer]], NDArray[np.float32]], count: int, dim: int
) -> Any:
    """The index over `vectors(arange(count))`, which are whole numbers between -128 and 127.

    Args:
        vectors: the `(m, dim)` vectors at places; asked for piece by piece.
        count: of vectors.
        dim: of each.
    """
    cells = min(int(_CELLS_PER_ROOT * count**0.5), _MOST_CELLS)
    # FAISS's classes come from SWIG and have no types of use.
    index: Any = cast("Any", faiss).IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(dim),
        dim,
        cells,
        faiss.ScalarQuantizer.QT_8bit_direct_signed,
        faiss.METRIC_INNER_PRODUCT,
        False,
    )
    index.nprobe = max(1, int(cells * _PROBED))
    index.cp.niter, index.cp.max_points_per_centroid = _ROUNDS, _POINTS
    index.cp.min_points_per_centroid = 1
    index.cp.spherical = True
    sample = np.random.default_rng(0).choice(count, min(count, cells * _POINTS), replace=False)
    index.train(vectors(sample))
    index.set_direct_map_type(cast("Any", faiss).DirectMap.Array)
    for start in range(0, count, _SLICE):
        index.add(vectors(np.arange(start, min(start + _SLICE, count))))
    return index


_SCALE = 127.0  # components of unit vectors, as signed bytes
_ZERO = 128  # FAISS stores signed bytes with this added
_NONE, _PLACE_BYTES = -1, 16
EXACT_UPTO = 100_000
"""With more vectors than this, only some are compared with a query."""

_GROWTH = 4


class FaissIndex:
    """Unit vectors and the rows they belong to; its dimension is that of the first one.

    Every vector is compared until there are more than `exact_upto`; then `approximate` goes over
    to an index that compares the most promising ones.
    """

    def __init__(self, *, exact_upto: int = EXACT_UPTO) -> None:
        faiss.omp_set_num_threads(1)  # one query is too small a job to be shared out
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
        """What vectors and their places take."""
        return len(self) * (self._index.d + _PLACE_BYTES) if self._index else 0

    @property
    def outgrown(self) -> bool:
        """Whether it is time to `approximate`."""
        return len(self) > self._bound

    def approximate(self) -> None:
        """Sort the vectors into cells, anew where they were; takes a second for 100,000.

        Must not run beside `add`; searches may go on meanwhile.
        """
        if self._index is not None:
            found = approximate(self._at, len(self), self._index.d)
            self._index, self._exact = cast("_Faiss", found), False
            self._bound = len(self) * _GROWTH

    def add(self, vectors: Sequence[tuple[int, NDArray[np.float16]]]) -> None:
        """Add the `(dim,)` vectors of rows; one of another dimension is left out."""
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
        return self._rows.values[found[0][found[0] >= 0]].astype(np.intp)

    def cosines(
        self, rows: NDArray[np.intp], query: Vector
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """How near rows are to a `(dim,)` query that `fits`, `(m,)`, and which rows have a vector.

        Those that have none are at 0.
        """
        places, known = self._placed(rows)
        # What is added to the stored bytes is taken off their products instead: one pass less.
        cosines = (self._stored(places) @ query - self._added * query.sum()) / _SCALE
        if not known.all():
            cosines[~known] = 0
        return cosines, known

    def of(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """The vectors of rows, `(m, dim)`, and which rows have one; the others' are zero."""
        if self._index is None:
            return np.zeros((len(rows), 1), np.float32), np.zeros(len(rows), np.bool_)
        places, known = self._placed(rows)
        vectors = self._at(places)
        vectors /= _SCALE
        if not known.all():
            vectors[~known] = 0
        return vectors, known

    @property
    def bytes(self) -> NDArray[np.uint8] | None:
        """The vectors as FAISS holds them, one after the other, 128 added to each component.

        None where there are none yet, or where FAISS holds them in cells.
        """
        if self._index is None or not self._exact:
            return None
        flat = faiss.rev_swig_ptr(self._index.codes.data(), self._index.ntotal * self._index.d)
        return cast("NDArray[np.uint8]", flat)

    @property
    def places(self) -> "array[int]":
        """Where among them the vector of each row stands, -1 for none; rows past its end have none.

        Not to be kept: it grows.
        """
        return self._places

    def _placed(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Where the vectors of rows stand, 0 for those that have none, and which have one."""
        table = np.frombuffer(self._places, np.int64)
        places = table.take(rows, mode="clip")
        known = (places != _NONE) & (rows < len(table))
        if not known.all():
            places[~known] = 0
        return places, known

    def _at(self, places: NDArray[np.integer]) -> NDArray[np.float32]:
        """The vectors at places, `(m, dim)`, unscaled."""
        vectors = self._stored(places)
        if self._added:
            vectors -= self._added
        return vectors

    @property
    def _added(self) -> int:
        """What `_stored` has added to each component."""
        return _ZERO if self._exact else 0

    def _stored(self, places: NDArray[np.integer]) -> NDArray[np.float32]:
        """The vectors at places as they come out of FAISS, `(m, dim)`."""
        index, codes = self._index, self.bytes
        if index is None:
            return np.empty((0, 1), np.float32)
        if codes is None:
            return index.reconstruct_batch(places.astype(np.int64))
        return codes.reshape(index.ntotal, index.d)[places].astype(np.float32)


class _Faiss(Protocol):
    """The part of a FAISS index that is used here."""

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
