"""BM25 over postings that grow with each message; nothing is ever rebuilt."""

import math
from array import array
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_MANY_ROWS, _COMMON_SHARE = 1000, 4


class Postings:
    """Which rows hold which terms, and how often.

    Past a thousand rows, a term that stands in more than a quarter of them is passed over: it tells
    next to nothing apart, and its postings would cost more than all others.

    Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009).
    """

    def __init__(self, *, k1: float = 1.2, b: float = 0.75) -> None:
        self._k1, self._b = k1, b
        self._rows: dict[str, array[int]] = {}
        self._counts: dict[str, array[int]] = {}
        self._lengths: array[float] = array("f")
        self._total_length = 0

    def __len__(self) -> int:
        return len(self._lengths)

    def add(self, terms: Sequence[str]) -> None:
        """Append the next row."""
        row = len(self._lengths)
        for term, count in Counter(terms).items():
            if term not in self._rows:
                self._rows[term], self._counts[term] = array("I"), array("H")
            self._rows[term].append(row)
            self._counts[term].append(min(count, 65535))
        self._lengths.append(len(terms))
        self._total_length += len(terms)

    def scores(self, terms: Sequence[str]) -> NDArray[np.float32]:
        """The BM25 score of every row, `(n,)` float32; 0 where no term of the query stands."""
        rows = len(self._lengths)
        scores = np.zeros(rows, dtype=np.float32)
        if not rows or not self._total_length:
            return scores
        mean_length = self._total_length / rows
        lengths = np.frombuffer(self._lengths, dtype=np.float32)
        for term in set(terms):
            holding = len(self._rows.get(term, ()))
            if not holding or holding * _COMMON_SHARE > rows > _MANY_ROWS:
                continue
            # Copies: an array that lends its buffer could not grow while the view lives.
            where = np.array(self._rows[term], dtype=np.intp)
            counts = np.array(self._counts[term], dtype=np.float32)
            weight = math.log(1 + (rows - holding + 0.5) / (holding + 0.5))
            norm = self._k1 * (1 - self._b + self._b * lengths[where] / mean_length)
            scores[where] += weight * counts * (self._k1 + 1) / (counts + norm)
        return scores
