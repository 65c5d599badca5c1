"""An approximate FAISS index: vectors in cells, of which a search looks into the nearest few.

Source: Sivic and Zisserman, "Video Google" (2003); FAISS's IndexIVFScalarQuantizer.
"""

from collections.abc import Callable
from typing import Any, cast

import faiss
import numpy as np
from numpy.typing import NDArray

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
