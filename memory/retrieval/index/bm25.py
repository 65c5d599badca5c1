"""BM25 over postings that grow with each message; nothing is ever rebuilt."""

import math
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onionskin.memory.retrieval.index.growable_array import GrowableArray

_MANY_ROWS, _COMMON_SHARE = 1000, 4
_MOST_TERMS, _MOST_COUNTED = 48, 65_535
_TERM_BYTES, _POSTING_BYTES = 260, 8


@dataclass(frozen=True, slots=True)
class Found:
    """The postings of a query's terms, one term after the other.

    Attributes:
        rows: `(p,)`, the rows that hold a term, ascending within it.
        counts: `(p,)`, how often each holds it.
        place: `(p,)`, which of the terms it is.
        weights: `(t,)`, the inverse document frequency of each term.
        holding: `(t,)`, how many rows hold it.
    """

    rows: NDArray[np.intp]
    counts: NDArray[np.float32]
    place: NDArray[np.intp]
    weights: NDArray[np.float32]
    holding: NDArray[np.intp]


class Bm25Index:
    """Which rows hold which terms, and how often.

    Past a thousand rows, a term that stands in more than a quarter of them is passed over: it tells
    next to nothing apart, and its postings would cost more than all others.

    Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009).
    """

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._rows: list[array[int]] = []
        self._counts: list[array[int]] = []
        self._holding = array("i")
        self._lengths = GrowableArray(np.float32)
        self._total_length = self._total_postings = 0

    def __len__(self) -> int:
        return len(self._lengths)

    @property
    def size_bytes(self) -> int:
        """What terms and postings take, by what they were measured to take on the average."""
        return _TERM_BYTES * len(self._ids) + _POSTING_BYTES * self._total_postings

    @property
    def mean_length(self) -> float:
        """The mean number of terms in a row; 1 where there are none."""
        return self._total_length / max(len(self), 1) or 1.0

    def add(self, terms: Sequence[str]) -> list[int]:
        """Append the next row; returns the ids of its distinct terms."""
        row, ids = len(self._lengths), self._ids
        rows, counts, holding = self._rows, self._counts, self._holding
        distinct: list[int] = []
        for term, count in Counter(terms).items():
            number = ids.get(term)
            if number is None:
                number = ids[term] = len(ids)
                rows.append(array("I"))
                counts.append(array("H"))
                holding.append(0)
            rows[number].append(row)
            counts[number].append(min(_MOST_COUNTED, count))
            holding[number] += 1
            distinct.append(number)
        self._lengths.append(len(terms))
        self._total_length += len(terms)
        self._total_postings += len(distinct)
        return distinct

    def known(self, terms: Sequence[str]) -> list[int]:
        """The ids of those terms that tell rows apart, each once, the rarest first; 48 at most."""
        found = {self._ids[term] for term in terms if term in self._ids}
        rows = len(self)
        telling = [
            number
            for number in found
            if not len(self._rows[number]) * _COMMON_SHARE > rows > _MANY_ROWS
        ]
        return sorted(telling, key=lambda number: len(self._rows[number]))[:_MOST_TERMS]

    def weights(self, ids: Sequence[int] | NDArray[np.integer]) -> NDArray[np.float32]:
        """The inverse document frequency of terms, `(m,)` float32."""
        if not self._holding:
            return np.zeros(len(ids), np.float32)
        held = np.frombuffer(self._holding, np.int32)  # a copy below: what lends cannot grow
        holding = held[np.asarray(ids, dtype=np.intp)].astype(np.float32)
        return np.log1p((len(self) - holding + 0.5) / (holding + 0.5)).astype(np.float32)

    def weight_of(self, terms: Sequence[str]) -> float:
        """The greatest inverse document frequency among terms, known or not; 0 for none."""
        rows = len(self)
        holding = [len(self._rows[self._ids[one]]) if one in self._ids else 0 for one in terms]
        return max((math.log1p((rows - held + 0.5) / (held + 0.5)) for held in holding), default=0)

    def posting_lists(self, ids: Sequence[int]) -> tuple[list["array[int]"], list["array[int]"]]:
        """The rows that hold each of the terms, and how often; not to be kept, since they grow."""
        return [self._rows[number] for number in ids], [self._counts[number] for number in ids]

    def find(self, ids: Sequence[int]) -> Found:
        """The postings of terms."""
        # Copies: an array that lends its buffer could not grow while the view lives.
        rows = [np.array(self._rows[number], dtype=np.intp) for number in ids]
        counts = [np.array(self._counts[number], dtype=np.float32) for number in ids]
        holding = np.array([len(one) for one in rows], np.intp)
        return Found(
            np.concatenate(rows) if rows else np.empty(0, np.intp),
            np.concatenate(counts) if counts else np.empty(0, np.float32),
            np.repeat(np.arange(len(rows)), holding),
            self.weights(ids),
            holding,
        )

    def scores(self, found: Found, *, k1: float = 1.2, b: float = 0.75) -> NDArray[np.float64]:
        """The BM25 score of every row, `(n,)`; 0 where no term of the query stands."""
        counts = found.counts
        norm = k1 * (1 - b + b * self._lengths.values[found.rows] / self.mean_length) if b else k1
        each = found.weights[found.place] * counts * (k1 + 1) / (counts + norm)
        return np.bincount(found.rows, each, len(self)).astype(np.float64)  # whole where empty

    def lengths(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """The number of terms in each of the rows, `(m,)` float32."""
        return self._lengths.values[rows].astype(np.float32)
