"""A search that measures little finds the same as one that measures everything, both by NumPy."""

import random

import numpy as np
import pytest

from onionskin.memory.retrieval import StaticEmbedder, TextPipeline, UserIndex
from onionskin.memory.retrieval.ranking import ranker as compiled
from onionskin.memory.retrieval.ranking.weights import HAND_MADE, Weights
from onionskin.memory.types.messages import Entry, Message

_WORDS = "dog cat piano garden coffee train river house winter guitar sister the a of in".split()
_QUERIES = ("my dog", "When was the winter?", "xyzzy", "of", "hound", "", "May 2023 in the garden")


def _text(seed: int) -> str:
    rest = random.Random(seed)
    return " ".join(rest.choices(_WORDS, k=rest.randint(1, 9)))


@pytest.mark.parametrize("count", [1, 60, 250, 900])
async def test_what_is_measured_briefly_is_found_as_ever(
    embedder: StaticEmbedder, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "kernel_rank", None)
    everything = Weights(HAND_MADE | {"rarity": 0.0})
    assert Weights(HAND_MADE).are_fast
    assert not everything.are_fast
    short, long = (
        UserIndex(TextPipeline.for_language()),
        UserIndex(TextPipeline.for_language(), weights=everything),
    )
    texts = [_text(seed) for seed in range(count)]
    for place, vector in enumerate(await embedder.embed(texts)):
        said = Message("user", texts[place], 1_680_000_000.0 + 9_000 * place)
        kept = vector.astype(np.float16) if place % 7 else None
        for index in (short, long):
            index.put(Entry(f"s_{place // 20}", place % 20, said, kept))
    for query in _QUERIES:
        vector = (await embedder.embed([query]))[0]
        for given in (None, vector, -vector):
            found = [one.search(query, given, top_k=50) for one in (short, long)]
            assert found[0] == found[1]
