"""What was drawn from a deleted session alone is deleted with it; all else stays as it was."""

from dataclasses import replace

import pytest

from onionskin.memory.errors import RecordConflictError, UnknownRecordError, UnknownSessionError
from onionskin.memory.records import delete_session, writes_without_sources
from onionskin.memory.records.consolidation import RecordMerger
from onionskin.memory.records.service import RecordService
from onionskin.memory.retrieval import IndexCache, StaticEmbedder
from onionskin.memory.store import RecordWrite, RedisStore, keys
from onionskin.memory.types.messages import Entry, Message, Session, User
from onionskin.memory.types.records import Record, RecordChange
from tests.conftest import RedisClient, make_views

_GONE, _OTHER = "s_000000000000000a", "s_000000000000000b"
_NOW = 1000.0


@pytest.fixture
def memories(store: RedisStore, views: IndexCache, embedder: StaticEmbedder) -> RecordService:
    return RecordService(store, views, embedder)


async def _begin(store: RedisStore, user: User, *session_ids: str) -> None:
    for session_id in session_ids:
        session = Session(session_id, _NOW, _NOW)
        said = [(Message("user", "I live in Porto.", _NOW), None)]
        await store.transcripts.commit(user, session, said, create=True)


async def _store(store: RedisStore, user: User, *records: Record) -> None:
    writes = [RecordWrite(one, None, None, RecordChange(_NOW, "created", one)) for one in records]
    await store.records.write(user, writes)


def _record(number: int, source: str | None, *confirmed: str) -> Record:
    name = f"m_{number:016x}"
    return Record(
        name, f"fact {number}", "fact", "long", _NOW, _NOW, source=source, confirmed=confirmed
    )


async def test_only_what_no_other_session_states_is_deleted_with_a_session(
    store: RedisStore, views: IndexCache, memories: RecordService, user: User, redis: RedisClient
) -> None:
    await _begin(store, user, _GONE, _OTHER)
    await _store(
        store,
        user,
        _record(1, f"{_GONE}.0", f"{_GONE}.2"),
        _record(2, f"{_GONE}.0", f"{_OTHER}.0"),
        _record(3, f"{_OTHER}.0", f"{_GONE}.0"),
        _record(4, None, f"{_GONE}.0"),
        _record(5, None),
        _record(6, f"{_OTHER}.0"),
    )
    deletion = await delete_session(store, views, user, _GONE)
    assert (deletion.messages, deletion.memories) == (1, 1)
    left = {one.content: one.sources for one in await memories.index(user)}
    assert left == {
        "fact 2": (f"{_OTHER}.0",),
        "fact 3": (f"{_OTHER}.0",),
        "fact 4": (),
        "fact 5": (),
        "fact 6": (f"{_OTHER}.0",),
    }
    with pytest.raises(UnknownRecordError):  # nothing of it can be restored
        await memories.restore(user, "m_0000000000000001")
    assert not await redis.exists(keys.history(user, "m_0000000000000001"))
    assert {
        one.content
        for one in await RecordService(
            store,
            make_views(store),
            memories._embedder,  # pyright: ignore[reportPrivateUsage]
        ).index(user)
    } == set(left)


async def test_what_a_deleted_fact_superseded_is_valid_again(
    store: RedisStore, views: IndexCache, memories: RecordService, user: User
) -> None:
    await _begin(store, user, _GONE, _OTHER)
    rome = _record(2, f"{_GONE}.0")
    oslo = replace(_record(1, f"{_OTHER}.0"), valid_to=900.0, superseded_by=rome.id)
    await _store(store, user, oslo, rome)
    await delete_session(store, views, user, _GONE)
    (left,) = await memories.index(user)
    assert (left.content, left.valid_to, left.superseded_by) == ("fact 1", None, None)


def test_what_superseded_a_removed_fact_supersedes_the_one_before() -> None:
    lyon = replace(_record(3, f"{_OTHER}.4"), valid_from=950.0)
    rome = replace(_record(2, f"{_GONE}.0"), valid_to=950.0, superseded_by=lyon.id)
    oslo = replace(_record(1, f"{_OTHER}.0"), valid_to=900.0, superseded_by=rome.id)
    writes = writes_without_sources([oslo, rome, lyon], lambda turn: turn.startswith(_GONE), _NOW)
    after = {write.before.id: write.record for write in writes if write.before}
    assert after[rome.id] is None
    reinstated = after[oslo.id]
    assert reinstated is not None
    assert (reinstated.valid_to, reinstated.superseded_by) == (950.0, lyon.id)
    assert len(writes) == 2


def test_records_that_supersede_each_other_are_removed_too() -> None:
    one = replace(_record(1, f"{_GONE}.0"), superseded_by="m_0000000000000002")
    two = replace(_record(2, f"{_GONE}.0"), superseded_by=one.id)
    other = replace(_record(3, f"{_OTHER}.0"), superseded_by=one.id, valid_to=_NOW)
    writes = writes_without_sources([one, two, other], lambda turn: turn.startswith(_GONE), _NOW)
    assert [write.record is None for write in writes] == [True, True, False]


def test_facts_of_removed_turns_go_while_the_session_stays() -> None:
    records = [_record(1, f"{_GONE}.2"), _record(2, f"{_GONE}.0", f"{_GONE}.2")]
    writes = writes_without_sources(records, lambda turn: turn == f"{_GONE}.2", _NOW)
    assert [(write.before, write.record and write.record.sources) for write in writes] == [
        (records[0], None),
        (records[1], (f"{_GONE}.0",)),
    ]


async def test_a_fact_that_is_stored_in_between_is_not_overlooked(
    store: RedisStore, views: IndexCache, memories: RecordService, user: User
) -> None:
    await _begin(store, user, _GONE)
    read_at = (await views.refresh(user)).cursor
    await _store(store, user, _record(1, f"{_GONE}.0"))
    with pytest.raises(RecordConflictError):
        await store.deletion.delete_session(user, _GONE, [], read_at=read_at)
    assert await store.sessions.exists(user, _GONE)
    await _begin(store, user, _OTHER)  # messages are no conflict
    read_at = (await views.refresh(user)).cursor
    await store.transcripts.commit(
        user,
        await store.sessions.get(user, _OTHER),
        [(Message("user", "And more.", _NOW), None)],
        create=False,
    )
    await store.deletion.delete_session(user, _GONE, [], read_at=read_at)
    assert not await store.sessions.exists(user, _GONE)
    assert len(await memories.index(user)) == 1


async def test_a_changed_fact_prevents_the_deletion_as_a_whole(
    store: RedisStore, views: IndexCache, memories: RecordService, user: User
) -> None:
    await _begin(store, user, _GONE)
    stored = _record(1, f"{_GONE}.0")
    await _store(store, user, stored)
    await memories.update(user, stored.id, {"content": "changed"})
    read_at = (await views.refresh(user)).cursor
    with pytest.raises(RecordConflictError):
        await store.deletion.delete_session(
            user, _GONE, [RecordWrite(None, stored)], read_at=read_at
        )
    assert await store.sessions.exists(user, _GONE)
    await delete_session(store, views, user, _GONE)
    assert not await memories.index(user)


async def test_an_unknown_session_is_refused_and_nothing_changes(
    store: RedisStore, views: IndexCache, memories: RecordService, user: User
) -> None:
    with pytest.raises(UnknownSessionError):
        await delete_session(store, views, user, _GONE)
    await _store(store, user, _record(1, f"{_GONE}.0"))  # as an import leaves it
    with pytest.raises(UnknownSessionError):
        await delete_session(store, views, user, _GONE)
    assert len(await memories.index(user)) == 1


def test_confirmations_of_one_session_do_not_displace_those_of_another() -> None:
    record = _record(1, f"{_GONE}.0", f"{_OTHER}.0", *(f"{_GONE}.{n}" for n in range(2, 16, 2)))
    line = Entry(_GONE, 20, Message("user", "fact 1", _NOW))
    merger = RecordMerger([], [line], [record], [record], _NOW)
    merger._confirm(record, f"{_GONE}.20")  # pyright: ignore[reportPrivateUsage]
    (write,) = merger.writes
    assert write.record is not None
    assert f"{_OTHER}.0" in write.record.confirmed
    assert f"{_GONE}.20" in write.record.confirmed
