from array import array

import numpy as np
from numpy.typing import NDArray

def rank(
    term_rows: list[array[int]],
    term_counts: list[array[int]],
    previous: NDArray[np.int64],
    following: NDArray[np.int64],
    form: NDArray[np.float32],
    lengths: NDArray[np.float32],
    dead: NDArray[np.int64],
    places: array[int],
    vector: NDArray[np.float32] | None,
    codes: NDArray[np.uint8] | None,
    near: NDArray[np.int64] | None,
    asks_when: bool,
    width: int,
    columns: NDArray[np.int32],
    /,
) -> tuple[bytearray, bytearray]: ...
