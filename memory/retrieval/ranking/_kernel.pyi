from array import array

import numpy as np
from numpy.typing import NDArray

def rank(
    term_rows: list[array[int]],
    term_counts: list[array[int]],
    previous: NDArray[np.int64],
    following: NDArray[np.int64],
    form: NDArray[np.float32],
    norms: NDArray[np.float32],
    deleted: NDArray[np.int64],
    places: array[int],
    vector: NDArray[np.float32] | None,
    codes: NDArray[np.uint8] | None,
    nearest: NDArray[np.int64] | None,
    asks_when: bool,
    width: int,
    columns: NDArray[np.int32],
    /,
) -> tuple[bytearray, bytearray]: ...
