"""Vectors of single words, from the built-in model's table; similar words have similar vectors."""

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file  # pyright: ignore[reportUnknownVariableType]

_MAX_LENGTH, _MAX_CACHED = 40, 200_000
_DIMENSIONS = 96
_STATIC = Path(__file__).parents[1] / "embedders" / "static"


class WordVectors:
    """The table's rows by word; an unknown word has the rows of its pieces.

    Args:
        directory: Folder with `tokenizer.json` and `model.safetensors`.
    """

    def __init__(self, directory: Path = _STATIC) -> None:
        tokenizer = json.loads((directory / "tokenizer.json").read_text(encoding="utf-8"))
        self._vocabulary: dict[str, int] = tokenizer["model"]["vocab"]
        table = load_file(directory / "model.safetensors")["embeddings"][:, :_DIMENSIONS].astype(
            np.float32
        )
        self._lengths = np.maximum(np.linalg.norm(table, axis=1), 1e-6).astype(np.float32)
        table /= self._lengths[:, None]
        self._table: NDArray[np.float32] = table
        self._known: dict[str, tuple[int, ...]] = {}

    @property
    def vocabulary(self) -> list[str]:
        """The known words and pieces, the most frequent first."""
        return list(self._vocabulary)

    def ids(self, words: Iterable[str]) -> list[int]:
        """The ids of the words' pieces, in order; a word with unknown characters has none."""
        known, ids = self._known, list[int]()
        for word in words:
            ids += known[word] if word in known else self._pieces(word)
        return ids

    def _pieces(self, word: str) -> tuple[int, ...]:
        """The longest pieces from the left (Wu et al., "Google's Neural Machine ...", 2016)."""
        pieces: list[int] = []
        start = 0
        while start < len(word) <= _MAX_LENGTH:
            end = len(word)
            mark = "##" if start else ""
            while end > start and mark + word[start:end] not in self._vocabulary:
                end -= 1
            if end == start:
                pieces.clear()
                break
            pieces.append(self._vocabulary[mark + word[start:end]])
            start = end
        if len(self._known) < _MAX_CACHED:
            self._known[word] = tuple(pieces)
        return tuple(pieces)

    def excess_cosines(
        self, words: NDArray[np.integer], query: NDArray[np.integer], *, above: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """How far the cosines of words with query words exceed a threshold; 0 below it.

        Args:
            words: `(m,)` ids.
            query: `(q,)` ids.
            above: The threshold.

        Returns:
            `(m + 1, q)`, the last row all zero, and the lengths of the query's vectors, `(q,)`.
        """
        used = np.zeros(len(self._table), np.bool_)
        used[words] = True
        distinct = np.flatnonzero(used)
        place = np.empty(len(self._table), np.int32)
        place[distinct] = np.arange(len(distinct), dtype=np.int32)
        cosines = np.zeros((len(distinct) + 1, len(query)), np.float32)
        np.matmul(self._table.take(distinct, axis=0), self._table[query].T, out=cosines[:-1])
        cosines -= above
        np.maximum(cosines, 0, out=cosines)
        places = np.append(place.take(words), len(distinct))
        return cosines.take(places, axis=0), self._lengths[query]


@cache
def word_vectors() -> WordVectors:
    """The built-in table, read once per process."""
    return WordVectors()
