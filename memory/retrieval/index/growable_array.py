"""A NumPy array that grows by appending."""

from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)


class GrowableArray(Generic[Number]):
    """Rows of numbers in one block, whose capacity doubles when it is full.

    A view of the values stays valid after the array has grown, and keeps its length.

    Args:
        dtype: Type of the numbers.
        width: Numbers in a row; 0 for plain numbers.
    """

    def __init__(self, dtype: type[Number], width: int = 0) -> None:
        self._block: NDArray[Number] = np.zeros((64, width) if width else (64,), dtype)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def size_bytes(self) -> int:
        """Memory of the block, unused capacity included."""
        return self._block.nbytes

    @property
    def values(self) -> NDArray[Number]:
        """A view of the values, `(n,)` or `(n, width)`."""
        return self._block[: self._length]

    def item(self, row: int) -> int:
        """One integer."""
        return int(self._block[row])

    def append(self, row: float | Sequence[float] | NDArray[np.generic]) -> None:
        """Append one row."""
        self._reserve(1)
        self._block[self._length] = row
        self._length += 1

    def extend(self, rows: Sequence[float]) -> None:
        """Append several plain numbers."""
        self._reserve(len(rows))
        self._block[self._length : self._length + len(rows)] = rows
        self._length += len(rows)

    def __setitem__(self, row: int, value: float) -> None:
        self._block[row] = value

    def _reserve(self, more: int) -> None:
        while self._length + more > len(self._block):
            self._block = np.concatenate([self._block, np.zeros_like(self._block)])
