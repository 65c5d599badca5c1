"""Embedding many texts at once without keeping other requests waiting."""

import asyncio
from collections.abc import Sequence

from memory.recall.embedding import Embedder
from memory.types import Vector

_SLICE = 20


async def embed_at_once(embedder: Embedder, texts: Sequence[str]) -> list[Vector | None]:
    """Each text's `(dim,)` vector, made in slices; None for all where the embedder is remote."""
    if not embedder.local:
        return [None] * len(texts)
    vectors: list[Vector | None] = []
    for start in range(0, len(texts), _SLICE):
        vectors += list(await embedder.embed(texts[start : start + _SLICE]))
        await asyncio.sleep(0)
    return vectors
