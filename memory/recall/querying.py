"""Embedding within a time: what cannot be embedded in it is searched and stored by words alone."""

import asyncio
import logging
from collections.abc import Sequence

from memory.errors import EmbedderError, EmbedderUnavailableError
from memory.recall.embedding import Embedder
from memory.types import Vector

_log = logging.getLogger("strata.memory")


async def embed_within(
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
