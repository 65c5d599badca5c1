"""A static embedding model: a vector for each token, and a text is the mean of its tokens'."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file  # pyright: ignore[reportUnknownVariableType]
from tokenizers import Tokenizer

from onionskin.memory.types.messages import Vectors

_STATIC = Path(__file__).with_name("static")
_MOST_TOKENS, _TOKEN_CHARACTERS = 512, 6  # of what comes after them nothing is read
_UNKNOWN, _FEW = "[UNK]", 8
_WORD = re.compile(r"[a-z0-9]+|[!-/:-@\[-`{-~]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LONGEST_CACHED, _MOST_CACHED = 40, 100_000


class StaticModel:
    """A folder with `tokenizer.json` and `model.safetensors`, as model2vec writes it.

    Source: model2vec (Tulkens and van Dongen, 2024); see `static/PROVENANCE.md`.
    """

    def __init__(self, directory: Path = _STATIC) -> None:
        self._tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True  # "[UNK]" in a text is text
        self._tokenizer.enable_truncation(_MOST_TOKENS)  # pyright: ignore[reportUnknownMemberType]
        self._unknown = self._tokenizer.token_to_id(_UNKNOWN)
        self._known: dict[str, tuple[int, ...]] = {}
        self._table: NDArray[np.int8] = load_file(directory / "model.safetensors")["embeddings"]

    def encode(self, texts: Sequence[str]) -> Vectors:
        """`(n, dim)` float32, unit length; a text without any known token becomes zero."""
        vectors = np.zeros((len(texts), self._table.shape[1]), np.float32)
        beginnings = [text[: _MOST_TOKENS * _TOKEN_CHARACTERS] for text in texts]
        found = self.tokens(beginnings)
        for vector, tokens in zip(vectors, found, strict=True):
            if tokens:  # their sum points where their mean does
                vector[:] = self._table.take(tokens, axis=0).sum(axis=0, dtype=np.int32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-32
        return (vectors / lengths).astype(np.float32)

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text's known tokens.

        Those of an ASCII text are looked up word by word. Others go to the tokenizer, which shares
        a batch out to threads; a few are not worth that.
        """
        if len(texts) > _FEW and not all(text.isascii() for text in texts):
            found = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
            return [self._but_unknown(one.ids) for one in found]
        return [self._plain(text) if text.isascii() else self._split(text) for text in texts]

    def _plain(self, text: str) -> list[int]:
        known, found = self._known, list[int]()
        for word in _WORD.findall(_CONTROL.sub("", text).lower()):
            found += known[word] if word in known else self._pieces(word)
        return self._but_unknown(found[:_MOST_TOKENS])

    def _pieces(self, word: str) -> tuple[int, ...]:
        pieces = tuple(self._tokenizer.encode(word, add_special_tokens=False).ids)
        if len(word) <= _LONGEST_CACHED and len(self._known) < _MOST_CACHED:
            self._known[word] = pieces
        return pieces

    def _split(self, text: str) -> list[int]:
        return self._but_unknown(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _but_unknown(self, tokens: list[int]) -> list[int]:
        return [token for token in tokens if token != self._unknown]
