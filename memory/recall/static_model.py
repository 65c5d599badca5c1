"""A static embedding model: a vector for each token, and a text is the mean of its tokens'."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file  # pyright: ignore[reportUnknownVariableType]
from tokenizers import Tokenizer

from memory.types import Vectors

_STATIC = Path(__file__).with_name("static")
_MOST_TOKENS, _TOKEN_CHARACTERS = 512, 6  # of what comes after them nothing is read
_UNKNOWN, _FEW = "[UNK]", 8


class StaticModel:
    """A folder with `tokenizer.json` and `model.safetensors`, as model2vec writes it.

    Source: model2vec (Tulkens and van Dongen, 2024); see `static/PROVENANCE.md`.
    """

    def __init__(self, directory: Path = _STATIC) -> None:
        self._tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(_MOST_TOKENS)  # pyright: ignore[reportUnknownMemberType]
        self._unknown = self._tokenizer.token_to_id(_UNKNOWN)
        self._table: NDArray[np.int8] = load_file(directory / "model.safetensors")["embeddings"]

    def encode(self, texts: Sequence[str]) -> Vectors:
        """`(n, dim)` float32, unit length; a text without any known token becomes zero."""
        vectors = np.zeros((len(texts), self._table.shape[1]), np.float32)
        beginnings = [text[: _MOST_TOKENS * _TOKEN_CHARACTERS] for text in texts]
        found = self._tokens(beginnings)
        for vector, tokens in zip(vectors, found, strict=True):
            known = [token for token in tokens if token != self._unknown]
            if known:
                vector[:] = self._table.take(known, axis=0).mean(axis=0)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-32
        return (vectors / lengths).astype(np.float32)

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens' ids of each; a batch is shared out to threads, which a few are not worth."""
        tokenizer = self._tokenizer
        if len(texts) <= _FEW:
            return [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
        return [one.ids for one in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
