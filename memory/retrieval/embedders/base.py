"""Embedding within a time: what cannot be embedded in it is searched and stored by words alone.

What an embedder is to the rest of Onionskin.

Embedding many texts at once without keeping other requests waiting.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from onionskin.memory.errors import EmbedderError, EmbedderUnavailableError
from onionskin.memory.types.messages import Vector, Vectors


class Embedder(Protocol):
    """Texts to unit vectors. Vectors of two embedders are never compared."""

    @property
    def tag(self) -> str:
        """What tells this embedder's vectors from another's, stored with each."""
        ...

    @property
    def local(self) -> bool:
        """Whether embedding takes no network and well under a millisecond a text."""
        ...

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed `n` texts: `(n, dim)` float32, rows of unit length.

        Raises:
            EmbedderError: the provider failed or answered nonsense.
        """
        ...


_log = logging.getLogger("onionskin.memory")


async def embed_with_timeout(
    embedder: Embedder, texts: Sequence[str], seconds: float
) -> list[Vector] | list[None]:
    """The `(dim,)` vector of each text, or None for all of them if that fails or takes longer."""
    if not texts:
        return []
    try:
        async with asyncio.timeout(seconds):
            return list(await embedder.embed(texts))
    except EmbedderUnavailableError:  # it was told when it failed
        return [None] * len(texts)
    except (EmbedderError, TimeoutError) as error:
        _log.warning("embedding failed", extra={"error": type(error).__name__})
        return [None] * len(texts)


_SLICE = 20


async def embed_in_batches(embedder: Embedder, texts: Sequence[str]) -> list[Vector | None]:
    """Each text's `(dim,)` vector, made in slices; None for all where the embedder is remote."""
    if not embedder.local:
        return [None] * len(texts)
    vectors: list[Vector | None] = []
    for start in range(0, len(texts), _SLICE):
        vectors += list(await embedder.embed(texts[start : start + _SLICE]))
        await asyncio.sleep(0)
    return vectors
