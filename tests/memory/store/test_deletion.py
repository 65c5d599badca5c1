"""Erased is erased: in Redis, in every worker's view, and for turns that were under way."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from onionskin.memory.combined import CombinedMemory
from onionskin.memory.errors import UnknownSessionError
from onionskin.memory.records.service import RecordService
from onionskin.memory.retrieval import IndexCache, StaticEmbedder
from onionskin.memory.store import RedisStore, keys
from onionskin.memory.store.deletion import ErasureResult
from onionskin.memory.types.messages import ImportStep, Message, Session, SummaryState, User
from tests.conftest import RedisClient, eventually, make_views

_REWRITE_DUE, _ERASED_EPOCHS = keys.REWRITE_DUE.encode(), keys.ERASED_EPOCHS.encode()
_CANARY = "xylograph"
_NOTHING = ErasureResult(0, 0, 0, 0, 0)
MemoryOf = Callable[[str], CombinedMemory]


async def _live(store: RedisStore, memories: RecordService, user: User) -> None:
    """Everything that a user can leave."""
    for number in range(3):
        session = Session(f"s_{number:016x}", 1000.0, 1000.0, title=f"{_CANARY} {number}")
        said = [(Message("user", f"{_CANARY} {number}", 1000.0 + number), None)] * 2
        step = ImportStep("moving", 2 * number, 2 * number + 2)
        await store.transcripts.commit(user, session, said, create=True, step=step)
        await store.sessions.save_summary(
            user, session.id, SummaryState(), SummaryState(1, 1, _CANARY, "")
        )
    await store.sessions.close(user, "s_0000000000000002")
    kept = await memories.create(
        user, [{"content": f"{_CANARY} kept", "topic": _CANARY}, {"content": f"{_CANARY} not"}]
    )
    await memories.delete(user, [kept[1].id])
    assert await store.locks.acquire(user, "fold", timeout=timedelta(minutes=1))


async def traces(redis: RedisClient, *texts: str) -> list[str]:
    """Redis keys whose name or value contains any of some texts."""
    found: list[str] = []
    async for name in redis.scan_iter():
        packed = name + (await redis.dump(name) or b"")
        kind = (await redis.type(name)).decode()
        if kind == "hash":
            packed += repr(await redis.hgetall(name)).encode()
        elif kind == "list":
            packed += repr(await redis.lrange(name, 0, -1)).encode()
        elif kind == "stream":
            packed += repr(await redis.xrange(name)).encode()
        if any(text.encode() in packed for text in texts):
            found.append(name.decode())
    return found


@pytest.fixture
def memories(store: RedisStore, views: IndexCache, embedder: StaticEmbedder) -> RecordService:
    return RecordService(store, views, embedder)


async def test_nothing_is_left_of_a_user_and_the_others_stay(
    redis: RedisClient, store: RedisStore, memories: RecordService
) -> None:
    gone, stays = User("zebedee"), User("zebedee2")
    for user in (gone, stays):
        await _live(store, memories, user)
    before = await store.users.stats(gone)
    assert (before.sessions, before.open_sessions, before.messages) == (3, 2, 6)
    assert (before.summaries, before.memories, before.vectors) == (3, 1, 1)
    assert (before.first, before.last) == (1000.0, 1002.0)
    assert before.size_bytes > 1000
    receipt = await store.deletion.erase_user(gone)
    assert replace(receipt, keys=0) == ErasureResult(3, 6, 1, 1, 0)
    assert receipt.keys == len(await traces(redis, "/zebedee2}"))
    assert not await traces(redis, "zebedee}")
    assert set(await traces(redis, _CANARY)) <= set(await traces(redis, "/zebedee2}"))
    left = await store.users.stats(stays)
    assert replace(left, size_bytes=0) == replace(before, size_bytes=0)
    assert await store.deletion.erase_user(gone) == _NOTHING
    assert (await store.users.stats(gone)).sessions == 0
    await store.deletion.erase_user(stays)
    assert {key async for key in redis.scan_iter()} == {_REWRITE_DUE, _ERASED_EPOCHS}


async def test_keys_of_a_sort_that_nothing_names_go_too(
    redis: RedisClient, store: RedisStore, user: User
) -> None:
    await redis.set("onionskin:{default/alice}:ledger:2026", _CANARY)
    await redis.set("onionskin:{default/alice}x:user", "another's")
    assert await store.deletion.erase_user(user) == ErasureResult(0, 0, 0, 0, 1)
    assert {key async for key in redis.scan_iter()} == {
        b"onionskin:{default/alice}x:user",
        _REWRITE_DUE,
    }


async def test_every_workers_view_is_empty_by_its_next_request(
    store: RedisStore, embedder: StaticEmbedder, user: User
) -> None:
    workers = [make_views(store), make_views(store)]
    memories = [RecordService(store, views, embedder) for views in workers]
    await _live(store, memories[0], user)
    for views in workers:
        view = await views.catch_up(
            user, await store.transcripts.changes_since(user, views.cursor(user))
        )
        assert (len(view.index), len(view.records)) == (6, 1)
    await store.deletion.erase_user(user)
    view = await workers[0].catch_up(
        user, await store.transcripts.changes_since(user, workers[0].cursor(user))
    )
    assert (len(view.index), len(view.records)) == (0, 0)
    await memories[0].create(user, [{"content": "Begun anew."}])
    for views in workers:
        view = await views.catch_up(
            user, await store.transcripts.changes_since(user, views.cursor(user))
        )
        assert len(view.index) == 0
        assert [record.content for record in view.records] == ["Begun anew."]


@pytest.mark.parametrize("profile", ["layered", "summary", "vector", "window"])
@pytest.mark.parametrize("starts_again", [False, True])
async def test_a_turn_under_way_brings_nothing_back(
    redis: RedisClient,
    store: RedisStore,
    memory_of: MemoryOf,
    user: User,
    profile: str,
    *,
    starts_again: bool,
) -> None:
    memory = memory_of(profile)
    first = await memory.recall(user, f"My {_CANARY} is red.", session_id=None, now=1000.0)
    stored = await memory.remember(first, "Noted.", at=1000.0)
    same = await memory.recall(user, "Go on.", session_id=stored.session_id, now=1001.0)
    new = await memory.recall(user, "What is red?", session_id=None, now=90_000.0)
    assert new.turn.snapshot.is_new
    await store.deletion.erase_user(user)
    if starts_again:
        fresh = await memory.recall(user, "Hello.", session_id=None, now=90_001.0)
        await memory.remember(fresh, "Hello.", at=90_001.0)
    for under_way in (same, new):
        with pytest.raises(UnknownSessionError):
            await memory.remember(under_way, f"You have a {_CANARY}.", at=90_002.0)
    assert not await traces(redis, _CANARY, stored.session_id)
    assert (await store.users.stats(user)).messages == (2 if starts_again else 0)


async def test_turns_at_the_same_time_leave_nothing_of_before(
    redis: RedisClient, store: RedisStore, memory_of: MemoryOf, user: User
) -> None:
    memory = memory_of("layered")
    received, enough = list[str](), 60

    async def talk(talker: int) -> None:
        for turn in range(40):
            word = f"word{talker}x{turn}x"
            try:
                found = await memory.recall(user, word, session_id=None, now=1000.0)
                quoted = [hit.entry.message.content for one in found.sections for hit in one.hits]
                await memory.remember(found, f"You said {quoted}", at=1000.0)
            except UnknownSessionError:
                continue
            received.append(word)

    talkers = [asyncio.create_task(talk(number)) for number in range(4)]
    await eventually(lambda: len(received) > enough)
    before = list(received)
    receipt = await store.deletion.erase_user(user)
    after = len(received)
    assert receipt.messages >= 2 * len(before)
    await asyncio.gather(*talkers)
    assert len(received) > after
    assert await traces(redis, received[-1])
    assert not await traces(redis, *before)


async def test_users_are_listed_by_tenant_sorted_page_by_page(store: RedisStore) -> None:
    ids = sorted({f"user {n} {{*}}?[{n}]\\é" for n in range(25)})
    for tenant in ("acme", "acme*", "a/c"):
        for user_id in ids if tenant == "acme" else ids[:2]:
            session = Session("s_1", 1.0, 1.0)
            said = [(Message("user", "x", 1.0), None)]
            await store.transcripts.commit(User(user_id, tenant), session, said, create=True)
    found: list[str] = []
    while page := await store.users.list("acme", after=found[-1] if found else "", count=4):
        found += page
    assert found == ids
    assert await store.users.list("acme*", after="", count=9) == ids[:2]
    assert await store.users.list("nobody", after="", count=9) == []
