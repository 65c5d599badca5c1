"""The embedder interface, and calls to it that never block or fail a turn."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from onionskin.memory.errors import EmbedderError, EmbedderUnavailableError
from onionskin.memory.types.messages import Vector, Vectors

_BATCH = 20
_log = logging.getLogger("onionskin.memory")


class Embedder(Protocol):
    """Turns texts into unit vectors. Vectors of two embedders are never compared."""

    @property
    def tag(self) -> str:
        """Identifier of the embedder, stored with each of its vectors."""
        ...

    @property
    def local(self) -> bool:
        """Whether it needs no network and well under a millisecond per text."""
        ...

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed `n` texts: `(n, dim)` float32, rows of unit length.

        Raises:
            EmbedderError: The provider failed or returned invalid vectors.
        """
        ...


async def embed_with_timeout(
    embedder: Embedder, texts: Sequence[str], seconds: float
) -> list[Vector] | list[None]:
    """The `(dim,)` vector of each text; None for all after an error or a timeout.

    Texts without a vector are stored and searched by their words alone.
    """
    if not texts:
        return []
    try:
        async with asyncio.timeout(seconds):
            return list(await embedder.embed(texts))
    except EmbedderUnavailableError:  # its failures were logged before
        return [None] * len(texts)
    except (EmbedderError, TimeoutError) as error:
        _log.warning("embedding failed", extra={"error": type(error).__name__})
        return [None] * len(texts)


async def embed_in_batches(embedder: Embedder, texts: Sequence[str]) -> list[Vector | None]:
    """The `(dim,)` vector of each text; None for all where the embedder is remote.

    Other requests run between the batches.
    """
    if not embedder.local:
        return [None] * len(texts)
    vectors: list[Vector | None] = []
    for start in range(0, len(texts), _BATCH):
        vectors += list(await embedder.embed(texts[start : start + _BATCH]))
        await asyncio.sleep(0)
    return vectors
