"""A cache of query embeddings, for the texts that are searched for repeatedly."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import timedelta

import numpy as np

from onionskin.memory.retrieval.embedders.base import Embedder
from onionskin.memory.types.messages import Vector, Vectors

_LIFETIME = timedelta(minutes=10)


class CachedEmbedder:
    """Wraps an embedder with a cache of single texts, the least recently used evicted first.

    Only digests of the texts are kept, for ten minutes. Batches, such as those of a backfill, are
    not cached.

    Args:
        embedder: The wrapped embedder.
        max_entries: Most vectors.
        clock: Monotonic seconds.

    Attributes:
        hits, misses: How often a text was in the cache, or was not.
    """

    def __init__(
        self,
        embedder: Embedder,
        max_entries: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._embedder, self._max_entries, self._clock = embedder, max_entries, clock
        self._entries: OrderedDict[bytes, tuple[float, Vector]] = OrderedDict()
        self.tag, self.local = embedder.tag, embedder.local
        self.hits = self.misses = 0

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """`(n, dim)` float32, rows of unit length.

        Raises:
            EmbedderError: The embedder failed; nothing is cached.
        """
        if len(texts) != 1:
            return await self._embedder.embed(texts)
        name = hashlib.sha256(texts[0].encode()).digest()
        cached = self._entries.pop(name, None)
        if cached and self._clock() - cached[0] < _LIFETIME.total_seconds():
            self.hits += 1
            self._entries[name] = cached
            return cached[1][None, :].copy()
        self.misses += 1
        vectors = await self._embedder.embed(texts)
        self._entries[name] = (self._clock(), np.array(vectors[0]))
        if len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)
        return vectors
