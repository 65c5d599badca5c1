"""The cache of query embeddings: one call per text, bounded in number and time."""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pytest

from onionskin.memory.errors import EmbedderError
from onionskin.memory.retrieval import CachedEmbedder
from onionskin.memory.types.messages import Vectors
from tests.conftest import Clock


class _CountingEmbedder:
    tag, local = "counting", False

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.fails = False

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.calls.append(list(texts))
        if self.fails:
            raise EmbedderError("down")
        return np.array([[len(text), 1.0] for text in texts], np.float32)


async def test_a_repeated_text_is_embedded_once(clock: Clock) -> None:
    provider = _CountingEmbedder()
    cached = CachedEmbedder(provider, 10, clock)
    first = await cached.embed(["a dog"])
    first[0, 0] = 99  # a caller's change does not reach the cache
    again = await cached.embed(["a dog"])
    assert again.tolist() == [[5, 1]]
    assert len(provider.calls) == 1
    assert (cached.hits, cached.misses) == (1, 1)


async def test_the_least_recently_used_text_is_evicted_first(clock: Clock) -> None:
    provider = _CountingEmbedder()
    cached = CachedEmbedder(provider, 2, clock)
    for text in ("a", "b", "a", "c", "a", "b"):
        await cached.embed([text])
    assert [call[0] for call in provider.calls] == ["a", "b", "c", "b"]


async def test_a_vector_expires(clock: Clock) -> None:
    provider = _CountingEmbedder()
    cached = CachedEmbedder(provider, 2, clock)
    await cached.embed(["a"])
    clock.advance(timedelta(minutes=11))
    await cached.embed(["a"])
    assert len(provider.calls) == 2


async def test_failures_and_batches_are_not_cached(clock: Clock) -> None:
    provider = _CountingEmbedder()
    cached = CachedEmbedder(provider, 2, clock)
    provider.fails = True
    with pytest.raises(EmbedderError):
        await cached.embed(["a"])
    provider.fails = False
    await cached.embed(["a"])
    await cached.embed(["a", "b"])
    await cached.embed(["b"])
    assert provider.calls == [["a"], ["a"], ["a", "b"], ["b"]]
