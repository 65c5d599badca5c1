"""BM25 over postings that grow with each message."""

import math
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onionskin.memory.retrieval.index.growable_array import GrowableArray

_MANY_ROWS, _COMMON_SHARE = 1000, 4
_MAX_TERMS, _MAX_COUNT = 48, 65_535
_TERM_BYTES, _POSTING_BYTES = 260, 8


@dataclass(frozen=True, slots=True)
class Postings:
    """The postings of a query's terms, one term after the other.

    Attributes:
        rows: `(p,)`, the rows that contain a term, ascending within it.
        counts: `(p,)`, how often the row contains the term.
        term: `(p,)`, the place of the term among the query's terms.
        idf: `(t,)`, the inverse document frequency of each term.
        row_counts: `(t,)`, how many rows contain each term.
    """

    rows: NDArray[np.intp]
    counts: NDArray[np.float32]
    term: NDArray[np.intp]
    idf: NDArray[np.float32]
    row_counts: NDArray[np.intp]


class Bm25Index:
    """An inverted index: the rows that contain each term, and how often.

    In an index of more than a thousand rows, queries ignore a term that more than a quarter of the
    rows contain: it hardly discriminates, and its postings cost more than all others.

    Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009).
    """

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._rows: list[array[int]] = []
        self._counts: list[array[int]] = []
        self._row_counts = array("i")
        self._lengths = GrowableArray(np.float32)
        self._total_length = self._total_postings = 0

    def __len__(self) -> int:
        return len(self._lengths)

    @property
    def size_bytes(self) -> int:
        """Memory of terms and postings, estimated from measured averages."""
        return _TERM_BYTES * len(self._ids) + _POSTING_BYTES * self._total_postings

    @property
    def mean_length(self) -> float:
        """The mean number of terms in a row; 1 in an empty index."""
        return self._total_length / max(len(self), 1) or 1.0

    def add(self, terms: Sequence[str]) -> list[int]:
        """Append the next row; returns the ids of its distinct terms."""
        row, ids = len(self._lengths), self._ids
        rows, counts, row_counts = self._rows, self._counts, self._row_counts
        distinct: list[int] = []
        for term, count in Counter(terms).items():
            number = ids.get(term)
            if number is None:
                number = ids[term] = len(ids)
                rows.append(array("I"))
                counts.append(array("H"))
                row_counts.append(0)
            rows[number].append(row)
            counts[number].append(min(_MAX_COUNT, count))
            row_counts[number] += 1
            distinct.append(number)
        self._lengths.append(len(terms))
        self._total_length += len(terms)
        self._total_postings += len(distinct)
        return distinct

    def select_terms(self, terms: Sequence[str]) -> list[int]:
        """The distinct ids of the terms that discriminate, the rarest first; 48 at most."""
        known = {self._ids[term] for term in terms if term in self._ids}
        total = len(self)
        selective = [
            number
            for number in known
            if not len(self._rows[number]) * _COMMON_SHARE > total > _MANY_ROWS
        ]
        return sorted(selective, key=lambda number: len(self._rows[number]))[:_MAX_TERMS]

    def idf(self, ids: Sequence[int] | NDArray[np.integer]) -> NDArray[np.float32]:
        """The inverse document frequency of terms, `(m,)` float32."""
        if not self._row_counts:
            return np.zeros(len(ids), np.float32)
        # Indexing copies; an array that lends its buffer could not grow.
        all_counts = np.frombuffer(self._row_counts, np.int32)
        row_counts = all_counts[np.asarray(ids, dtype=np.intp)].astype(np.float32)
        return np.log1p((len(self) - row_counts + 0.5) / (row_counts + 0.5)).astype(np.float32)

    def max_idf(self, terms: Sequence[str]) -> float:
        """The greatest inverse document frequency among terms, known or not; 0 for none."""
        total = len(self)
        row_counts = [
            len(self._rows[self._ids[term]]) if term in self._ids else 0 for term in terms
        ]
        idf = (math.log1p((total - count + 0.5) / (count + 0.5)) for count in row_counts)
        return max(idf, default=0)

    def posting_lists(self, ids: Sequence[int]) -> tuple[list["array[int]"], list["array[int]"]]:
        """The rows and counts of each term; the lists grow, so callers must not keep them."""
        return list(map(self._rows.__getitem__, ids)), list(map(self._counts.__getitem__, ids))

    def postings(self, ids: Sequence[int]) -> Postings:
        """The postings of terms."""
        # Copies: an array that lends its buffer could not grow while the view lives.
        rows = [np.array(self._rows[number], dtype=np.intp) for number in ids]
        counts = [np.array(self._counts[number], dtype=np.float32) for number in ids]
        row_counts = np.array([len(term_rows) for term_rows in rows], np.intp)
        return Postings(
            np.concatenate(rows) if rows else np.empty(0, np.intp),
            np.concatenate(counts) if counts else np.empty(0, np.float32),
            np.repeat(np.arange(len(rows)), row_counts),
            self.idf(ids),
            row_counts,
        )

    def scores(
        self, postings: Postings, *, k1: float = 1.2, b: float = 0.75
    ) -> NDArray[np.float64]:
        """The BM25 score of every row, `(n,)`; 0 where no term of the query occurs."""
        counts = postings.counts
        norm = (
            k1 * (1 - b + b * self._lengths.values[postings.rows] / self.mean_length) if b else k1
        )
        scores = postings.idf[postings.term] * counts * (k1 + 1) / (counts + norm)
        return np.bincount(postings.rows, scores, len(self)).astype(np.float64)  # int if empty

    def lengths(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """The number of terms in each row, `(m,)` float32."""
        return self._lengths.values[rows].astype(np.float32)
