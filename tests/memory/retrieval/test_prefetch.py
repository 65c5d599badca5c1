"""What a worker does for a turn ahead of Redis's answer, and after it has written."""

import asyncio
from collections.abc import Callable

import pytest

from onionskin.memory.combined import CombinedMemory
from onionskin.memory.layers.base import RecallResult
from onionskin.memory.retrieval import (
    IndexCache,
    StaticEmbedder,
    TextPipeline,
    UserIndex,
)
from onionskin.memory.retrieval.ranking.ranker import Ranked, Ranker
from onionskin.memory.store import RedisStore, entries_of
from onionskin.memory.types.change_log import Cursor
from onionskin.memory.types.messages import Message, Session, User

Build = Callable[[str], CombinedMemory]


async def _turn(memory: CombinedMemory, user: User, text: str, now: float) -> RecallResult:
    found = await memory.recall(user, text, session_id=None, now=now)
    await memory.remember(found, "Noted.", at=now)
    await asyncio.sleep(0)  # what follows an answer
    return found


@pytest.fixture
def ranked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queries that were ranked, in order."""
    seen: list[str] = []
    plain = Ranker.rank

    def rank(self: Ranker, query: str, *args: object, **options: object) -> Ranked | None:
        seen.append(query)
        return plain(self, query, *args, **options)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Ranker, "rank", rank)
    return seen


async def test_a_turn_ranks_once_and_before_redis_answers(
    memory_of: Build, store: RedisStore, user: User, ranked: list[str]
) -> None:
    memory = memory_of("layered")
    for number in range(4):  # until the view is up to date before a turn asks
        await _turn(memory, user, f"Line {number} on the garden.", 1000.0 + number)
    ranked.clear()
    asked = store.transcripts.load_turn
    before: list[int] = []

    async def snapshot(*args: object, **options: object) -> object:
        reply = await asked(*args, **options)  # pyright: ignore[reportArgumentType]
        before.append(len(ranked))
        return reply

    store.transcripts.load_turn = snapshot  # pyright: ignore[reportAttributeAccessIssue]
    found = await _turn(memory, user, "What of the garden?", 1010.0)
    assert before == [1]
    assert ranked == ["What of the garden?"]
    assert found.sections


async def test_what_another_worker_stored_during_the_prefetch_is_found(
    memory_of: Build, store: RedisStore, user: User, ranked: list[str]
) -> None:
    memory = memory_of("vector")
    for number in range(4):
        await _turn(memory, user, f"Line {number} on the garden.", 1000.0 + number)
    said = (Message("user", "The key is under the mat.", 1005.0), None)
    snapshot = await store.transcripts.load_turn(user, now=1005.0, since=None)
    await store.transcripts.commit(user, snapshot.session, [said], create=False)
    ranked.clear()
    found = await _turn(memory, user, "Where is the key?", 9000.0)
    assert ranked == ["Where is the key?"] * 2
    (section,) = found.sections
    assert "The key is under the mat." in {hit.entry.message.content for hit in section.hits}
    ranked.clear()
    await _turn(memory, user, "And the mat?", 9001.0)  # it may be so again: no guess is made
    assert ranked == ["And the mat?"]


async def test_what_a_turn_stored_is_not_read_back(
    memory_of: Build, store: RedisStore, views: IndexCache, user: User
) -> None:
    memory = memory_of("layered")
    for number in range(3):
        await _turn(memory, user, f"Line {number} on the garden.", 1000.0 + number)
    snapshot = await store.transcripts.load_turn(user, now=1010.0, since=views.cursor(user))
    assert snapshot.changes
    assert snapshot.changes.items == ()
    assert len((await views.catch_up(user, snapshot.changes)).index) == 6


@pytest.mark.parametrize("turns", [1, 2, 3])
async def test_nothing_of_an_erased_user_is_recalled_however_short_they_stayed(
    memory_of: Build, store: RedisStore, views: IndexCache, user: User, turns: int
) -> None:
    memory = memory_of("vector")
    for number in range(turns):
        await _turn(memory, user, f"My secret code is 471{number}.", 1000.0 + number)
    await store.deletion.erase_user(user)
    views.forget(await store.aof_rewrite.erased_epochs())
    for now in (9000.0, 9001.0):
        found = await _turn(memory, user, "What is my secret code?", now)
        hits = [hit for section in found.sections for hit in section.hits]
        assert not [hit for hit in hits if "471" in hit.entry.message.content]


async def test_an_index_that_outgrows_exact_search_goes_over_to_an_approximate_one(
    store: RedisStore, embedder: StaticEmbedder, user: User
) -> None:
    views = IndexCache(
        store, lambda: UserIndex(TextPipeline.for_language(), exact_upto=100), max_bytes=10**9
    )
    texts = [f"Line {number} on the garden." for number in range(120)]
    session, index = Session("s_1", 1000.0, 1000.0), None
    for text, vector in zip(texts, await embedder.embed(texts), strict=True):
        said = [(Message("user", text, 1000.0), vector)]
        committed = await store.transcripts.commit(user, session, said, create=True)
        index = index or (await views.refresh(user)).index
        cursor = Cursor(views.cursor(user).epoch, committed.sequence)
        views.append_committed(user, cursor, entries_of(committed, said))
    assert index
    assert index.outgrown
    assert len((await views.refresh(user)).index) == 120
    assert not index.outgrown
