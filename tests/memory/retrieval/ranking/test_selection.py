"""Which ranked messages are taken: filters, floors, preferences, and no two that say the same."""

import numpy as np
import pytest

from onionskin.chains.prompt import build_prompt
from onionskin.memory.combined import CombinedMemory
from onionskin.memory.profiles import Profile, VectorOptions
from onionskin.memory.retrieval import (
    IndexCache,
    Selection,
    StaticEmbedder,
    TextPipeline,
    UserIndex,
)
from onionskin.memory.store import RedisStore
from onionskin.memory.types.messages import Entry, Message, User

_DAY = 86_400.0
_TEXTS = (
    "My dog Biscuit loves the beach.",
    "My dog Biscuit loves the beach!",
    "The dog next door barks all night.",
    "I had soup for lunch.",
    "A dog show comes to town.",
)


async def _index(embedder: StaticEmbedder, *, copies: int = 1) -> UserIndex:
    index = UserIndex(TextPipeline.for_language())
    for copy in range(copies):
        vectors = await embedder.embed(_TEXTS)
        for position, (text, vector) in enumerate(zip(_TEXTS, vectors, strict=True)):
            at = (copy * len(_TEXTS) + position) * _DAY
            entry = Entry(
                f"s_{copy}", position, Message("user", text, at), vector.astype(np.float16)
            )
            index.put(entry)
    return index


async def _found(
    embedder: StaticEmbedder, selection: Selection, *, top_k: int = 9, copies: int = 1
) -> list[Entry]:
    index = await _index(embedder, copies=copies)
    vector = (await embedder.embed(["Biscuit, the dog, on the beach"]))[0]
    hits = index.search("Biscuit, the dog, on the beach", vector, top_k=top_k, selection=selection)
    return [hit.entry for hit in hits]


@pytest.mark.parametrize("copies", [1, 200])
async def test_filters_hold_however_many_there_are(embedder: StaticEmbedder, copies: int) -> None:
    chosen = Selection(since=1 * _DAY, until=3 * _DAY)
    found = await _found(embedder, chosen, copies=copies)
    assert {entry.message.at for entry in found} <= {1 * _DAY, 2 * _DAY, 3 * _DAY}
    assert found
    found = await _found(embedder, Selection(sessions={"s_0"}), copies=copies)
    assert {entry.session_id for entry in found} == {"s_0"}
    wanted = Selection(where=lambda entry: "soup" in entry.message.content)
    assert {entry.message.content for entry in await _found(embedder, wanted, copies=copies)} <= {
        "I had soup for lunch."
    }


async def test_nothing_below_the_least_similarity_is_found(embedder: StaticEmbedder) -> None:
    everything = await _found(embedder, Selection())
    similar = await _found(embedder, Selection(min_similarity=0.5))
    assert 0 < len(similar) < len(everything)
    assert await _found(embedder, Selection(min_similarity=1.01)) == []


async def test_near_duplicates_give_way(embedder: StaticEmbedder) -> None:
    plain = await _found(embedder, Selection(), top_k=2)
    assert {entry.position for entry in plain} == {0, 1}
    diverse = await _found(embedder, Selection(diversity=0.3), top_k=2)
    assert len({entry.position for entry in diverse} & {0, 1}) == 1


async def test_recency_and_importance_are_parts_of_their_own(embedder: StaticEmbedder) -> None:
    index = await _index(embedder)
    vector = (await embedder.embed(["Biscuit, the dog, on the beach"]))[0]
    chosen = Selection(now=5 * _DAY, recency=2.0, importance={"s_0:3": 1.0}, importance_weight=50.0)
    hits = index.search("Biscuit, the dog, on the beach", vector, top_k=9, selection=chosen)
    assert hits[0].entry.position == 3
    assert hits[0].parts["importance"] == 50.0
    assert all(0 < hit.parts["recency"] <= 2.0 for hit in hits)
    for hit in hits:
        assert hit.score == pytest.approx(sum(hit.parts.values()), abs=2e-3)
    by_age = sorted(hits, key=lambda hit: hit.entry.message.at)
    recency = [hit.parts["recency"] for hit in by_age]
    assert recency == sorted(recency)


async def test_neighbours_come_with_a_hit(embedder: StaticEmbedder) -> None:
    index = await _index(embedder)
    vector = (await embedder.embed(["soup for lunch"]))[0]
    plain = index.search("soup for lunch", vector, top_k=1)
    (hit,) = index.search("soup for lunch", vector, top_k=1, selection=Selection(neighbours=2))
    assert (hit.entry.position, plain[0].context) == (3, ())
    assert [entry.position for entry in hit.context] == [1, 2, 4]
    assert hit.score == plain[0].score


async def test_neighbours_are_shown_once_and_within_the_budget(
    store: RedisStore, embedder: StaticEmbedder, views: IndexCache, user: User
) -> None:
    vector = VectorOptions(top_k=5, budget_tokens=150, neighbours=1)
    profile = Profile(layers=("vector",), vector=vector)
    memory = CombinedMemory("near", profile, store=store, embedder=embedder, indexes=views)
    for place, text in enumerate(_TEXTS):
        recollection = await memory.recall(user, text, session_id=None, now=1000.0 + place)
        await memory.remember(recollection, f"Reply {place}.", at=1000.0 + place)
    recollection = await memory.recall(user, "Was there soup?", session_id=None, now=1e6)
    (section,) = recollection.sections
    assert any(hit.context for hit in section.hits)
    assert section.tokens <= 150
    prompt = str(build_prompt(recollection)[-1].text)
    assert "Reply 3." in prompt
    lines = [line for line in prompt.splitlines() if line.startswith("- [")]
    assert len(lines) == len(set(lines))
