"""A static embedding model: a text's vector is the mean of its tokens' vectors."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file  # pyright: ignore[reportUnknownVariableType]
from tokenizers import Tokenizer

from onionskin.memory.types.messages import Vectors

_STATIC = Path(__file__).with_name("static")
_MAX_TOKENS, _TOKEN_CHARACTERS = 512, 6  # the rest of a text is ignored
_UNKNOWN, _FEW = "[UNK]", 8
_WORD = re.compile(r"[a-z0-9]+|[!-/:-@\[-`{-~]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_MAX_LENGTH, _MAX_CACHED = 40, 100_000


class StaticModel:
    """The model in a folder with `tokenizer.json` and `model.safetensors`, as model2vec writes it.

    Source: model2vec (Tulkens and van Dongen, 2024); see `static/PROVENANCE.md`.
    """

    def __init__(self, directory: Path = _STATIC) -> None:
        self._tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True  # "[UNK]" in a text is plain text
        self._tokenizer.enable_truncation(_MAX_TOKENS)  # pyright: ignore[reportUnknownMemberType]
        self._unknown = self._tokenizer.token_to_id(_UNKNOWN)
        self._known: dict[str, tuple[int, ...]] = {}
        self._table: NDArray[np.int8] = load_file(directory / "model.safetensors")["embeddings"]

    def encode(self, texts: Sequence[str]) -> Vectors:
        """`(n, dim)` float32, unit length; a text without any known token becomes zero."""
        vectors = np.zeros((len(texts), self._table.shape[1]), np.float32)
        beginnings = [text[: _MAX_TOKENS * _TOKEN_CHARACTERS] for text in texts]
        for vector, tokens in zip(vectors, self.tokens(beginnings), strict=True):
            if tokens:  # the sum has the direction of the mean
                vector[:] = self._table.take(tokens, axis=0).sum(axis=0, dtype=np.int32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-32
        return (vectors / lengths).astype(np.float32)

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text's known tokens.

        ASCII texts are looked up word by word. Others go to the tokenizer, which distributes a
        batch over threads; that does not pay for a few texts.
        """
        if len(texts) > _FEW and not all(text.isascii() for text in texts):
            encoded = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
            return [self._known_only(encoding.ids) for encoding in encoded]
        return [self._plain(text) if text.isascii() else self._split(text) for text in texts]

    def _plain(self, text: str) -> list[int]:
        known, tokens = self._known, list[int]()
        for word in _WORD.findall(_CONTROL.sub("", text).lower()):
            tokens += known[word] if word in known else self._pieces(word)
        return self._known_only(tokens[:_MAX_TOKENS])

    def _pieces(self, word: str) -> tuple[int, ...]:
        pieces = tuple(self._tokenizer.encode(word, add_special_tokens=False).ids)
        if len(word) <= _MAX_LENGTH and len(self._known) < _MAX_CACHED:
            self._known[word] = pieces
        return pieces

    def _split(self, text: str) -> list[int]:
        return self._known_only(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _known_only(self, tokens: list[int]) -> list[int]:
        return [token for token in tokens if token != self._unknown]
