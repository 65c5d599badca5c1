"""Records: kept, changed, found, forgotten, brought back."""

import asyncio

import pytest

from onionskin.memory.errors import (
    InvalidInputError,
    RecordsFullError,
    TopicTakenError,
    UnknownRecordError,
)
from onionskin.memory.records.service import RecordService
from onionskin.memory.retrieval import StaticEmbedder
from onionskin.memory.store import RecordWrite, RedisStore
from onionskin.memory.types.change_log import Cursor
from onionskin.memory.types.messages import User
from onionskin.memory.types.records import HISTORY_SECONDS, SHORT_TERM_SECONDS, Record, StaleFilter
from tests.conftest import make_views


class Clock:
    """A time that tests move."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def memories(store: RedisStore, embedder: StaticEmbedder, clock: Clock) -> RecordService:
    return RecordService(store, make_views(store), embedder, limit=50, clock=clock)


def _anything(_: Record) -> bool:
    return True


async def _found(memories: RecordService, user: User, query: str) -> list[str]:
    hits = await memories.search(user, query, top_k=5, where=_anything)
    return [hit.record.content for hit in hits]


async def test_what_is_kept_is_found_by_every_worker_at_once(
    store: RedisStore, embedder: StaticEmbedder, user: User
) -> None:
    one = RecordService(store, make_views(store), embedder)
    other = RecordService(store, make_views(store), embedder)
    await other.index(user)
    await one.create(user, [{"content": "Plays the cello."}, {"content": "Lives in Porto."}])
    assert (await _found(other, user, "Which town does she live in?"))[0] == "Lives in Porto."
    (record,) = [each for each in await other.index(user) if "cello" in each.content]
    await other.update(user, record.id, {"content": "Plays the violin."})
    assert "Plays the violin." in await _found(one, user, "violin")
    assert "Plays the cello." not in await _found(one, user, "cello")
    await one.delete(user, [record.id])
    assert "Plays the violin." not in await _found(other, user, "violin")


async def test_a_batch_is_kept_whole_or_not_at_all(memories: RecordService, user: User) -> None:
    await memories.create(user, [{"content": f"fact {number}"} for number in range(49)])
    with pytest.raises(RecordsFullError):
        await memories.create(user, [{"content": "one more"}, {"content": "too many"}])
    assert len(await memories.index(user)) == 49
    await memories.create(user, [{"content": "the last"}])


async def test_a_topic_makes_a_write_an_upsert(memories: RecordService, user: User) -> None:
    (first,) = await memories.create(user, [{"content": "Drinks tea.", "topic": "drink"}])
    (second,) = await memories.create(user, [{"content": "Drinks coffee.", "topic": "drink"}])
    assert (second.id, second.revision) == (first.id, 2)
    assert [one.content for one in await memories.index(user)] == ["Drinks coffee."]
    (other,) = await memories.create(user, [{"content": "Likes jazz."}])
    with pytest.raises(TopicTakenError):
        await memories.update(user, other.id, {"topic": "drink"})
    await memories.update(user, first.id, {"topic": None})
    assert (await memories.update(user, other.id, {"topic": "drink"})).topic == "drink"


async def test_upserts_at_once_leave_one_record(memories: RecordService, user: User) -> None:
    drafts = [[{"content": f"Weighs {number} kg.", "topic": "weight"}] for number in range(4)]
    await asyncio.gather(*(memories.create(user, draft) for draft in drafts))
    (record,) = await memories.index(user)
    assert record.revision == 4


async def test_a_short_term_record_is_gone_from_the_very_millisecond(
    memories: RecordService, user: User, clock: Clock
) -> None:
    (record,) = await memories.create(user, [{"content": "Meets Ana at noon.", "term": "short"}])
    expires = clock.now + SHORT_TERM_SECONDS
    assert record.expires == expires
    clock.now = expires - 0.001
    assert await _found(memories, user, "Ana") == ["Meets Ana at noon."]
    clock.now = expires
    assert await _found(memories, user, "Ana") == []
    with pytest.raises(UnknownRecordError):
        await memories.get(user, record.id)


async def test_five_uses_of_something_important_make_it_long_term(
    memories: RecordService, user: User
) -> None:
    draft = {"content": "Is allergic to nuts.", "term": "short", "importance": 0.65}
    (record,) = await memories.create(user, [draft])
    await memories.record_accesses(user, {record.id: 4})
    used = await memories.get(user, record.id)
    assert (used.term, used.access_count, used.importance) == ("short", 4, 0.73)
    await memories.record_accesses(user, {record.id: 1, "m_0000000000000000": 3})
    used = await memories.get(user, record.id)
    assert (used.term, used.expires, used.last_access) == ("long", None, memories.clock())


async def test_every_change_can_be_undone_for_thirty_days(
    memories: RecordService, user: User, clock: Clock
) -> None:
    (record,) = await memories.create(user, [{"content": "one"}])
    clock.now += 10
    await memories.update(user, record.id, {"content": "two"})
    assert (await memories.restore(user, record.id)).content == "one"
    await memories.update(user, record.id, {"content": "three"})
    await memories.delete(user, [record.id])
    assert (await memories.restore(user, record.id)).content == "three"
    assert (await memories.restore(user, record.id, 2)).content == "two"
    assert await _found(memories, user, "two") == ["two"]
    steps = await memories.history(user, record.id)
    assert [step.action for step in steps] == [
        *("created", "updated", "restored", "updated", "deleted", "restored", "restored")
    ]
    with pytest.raises(InvalidInputError):
        await memories.restore(user, record.id, 99)
    await memories.delete(user, [record.id])
    clock.now += HISTORY_SECONDS + 20
    with pytest.raises(UnknownRecordError):
        await memories.restore(user, record.id)


async def test_what_is_stale_is_archived_and_pins_stay(
    memories: RecordService, user: User, clock: Clock
) -> None:
    made = await memories.create(
        user,
        [
            {"content": "old and unimportant", "importance": 0.1},
            {"content": "old but important", "importance": 0.9},
            {"content": "old but pinned", "importance": 0.1, "pinned": True},
        ],
    )
    clock.now += 100
    await memories.create(user, [{"content": "new and unimportant", "importance": 0.1}])
    archived = await memories.archive(user, StaleFilter(older_than=50, importance_below=0.5))
    assert archived == [made[0].id]
    assert (await memories.get(user, made[0].id)).archived
    assert await memories.archive(user, StaleFilter(older_than=50, importance_below=0.5)) == []


async def test_no_other_user_sees_or_touches_them(memories: RecordService, user: User) -> None:
    (record,) = await memories.create(user, [{"content": "The code is 4711."}])
    for stranger in (User(user.id, "another-tenant"), User(f"{user.id}x", user.tenant)):
        assert await _found(memories, stranger, "code") == []
        for attempt in (
            memories.get(stranger, record.id),
            memories.update(stranger, record.id, {"content": "x"}),
            memories.delete(stranger, [record.id]),
            memories.history(stranger, record.id),
            memories.restore(stranger, record.id),
        ):
            with pytest.raises(UnknownRecordError):
                await attempt
    assert (await memories.get(user, record.id)).revision == 1


async def test_a_rebuilt_index_holds_the_same_records(
    store: RedisStore, embedder: StaticEmbedder, memories: RecordService, user: User
) -> None:
    made = await memories.create(user, [{"content": f"number {one}"} for one in range(5)])
    await memories.delete(user, [made[0].id])
    anew = RecordService(store, make_views(store), embedder)
    assert sorted(one.id for one in await anew.index(user)) == sorted(one.id for one in made[1:])
    assert await _found(anew, user, "number 3") == await _found(memories, user, "number 3")


async def test_what_was_read_of_an_erased_user_is_not_written_again(
    memories: RecordService, store: RedisStore, user: User
) -> None:
    (record,) = await memories.create(user, [{"content": "A secret."}])
    await memories.delete(user, [record.id])
    epoch = (await store.transcripts.changes_since(user, Cursor())).cursor.epoch
    await store.deletion.erase_user(user)
    with pytest.raises(UnknownRecordError):
        await store.records.write(user, [RecordWrite(record)], epoch=epoch)
    assert (await store.users.stats(user)).memories == 0
