"""Vectors of single words, from the built-in model's table: which words mean about the same."""

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file  # pyright: ignore[reportUnknownVariableType]

_LONGEST, _MOST_CACHED = 40, 200_000
_DIMENSIONS = 96
_STATIC = Path(__file__).parents[1] / "embedders" / "static"


class WordVectors:
    """The table's rows by word; a word that it does not hold whole gives those of its pieces."""

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
        """The words and pieces that it holds, the most frequent first."""
        return list(self._vocabulary)

    def ids(self, words: Iterable[str]) -> list[int]:
        """The ids of the words' pieces, in order; none of a word that cannot be pieced together."""
        known, found = self._known, list[int]()
        for word in words:
            found += known[word] if word in known else self._pieces(word)
        return found

    def _pieces(self, word: str) -> tuple[int, ...]:
        """The longest pieces from the left (Wu et al., "Google's Neural Machine ...", 2016)."""
        pieces: list[int] = []
        start = 0
        while start < len(word) <= _LONGEST:
            end = len(word)
            mark = "##" if start else ""
            while end > start and mark + word[start:end] not in self._vocabulary:
                end -= 1
            if end == start:
                pieces.clear()
                break
            pieces.append(self._vocabulary[mark + word[start:end]])
            start = end
        if len(self._known) < _MOST_CACHED:
            self._known[word] = tuple(pieces)
        return tuple(pieces)

    def alike(
        self, said: NDArray[np.integer], asked: NDArray[np.integer], *, above: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """By how much the cosines of `(m,)` ids with `(q,)` ids exceed `above`, and 0 elsewhere.

        Returns:
            `(m + 1, q)`, the last row all zero, and the lengths of the vectors asked for, `(q,)`.
        """
        wanted = np.zeros(len(self._table), np.bool_)
        wanted[said] = True
        distinct = np.flatnonzero(wanted)
        place = np.empty(len(self._table), np.int32)
        place[distinct] = np.arange(len(distinct), dtype=np.int32)
        cosines = np.zeros((len(distinct) + 1, len(asked)), np.float32)
        np.matmul(self._table.take(distinct, axis=0), self._table[asked].T, out=cosines[:-1])
        cosines -= above
        np.maximum(cosines, 0, out=cosines)
        places = np.append(place.take(said), len(distinct))
        return cosines.take(places, axis=0), self._lengths[asked]


@cache
def word_vectors() -> WordVectors:
    """The built-in table, read once in a process."""
    return WordVectors()
