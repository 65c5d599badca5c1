"""One read, one write: a turn is stored whole, once, or not at all; sessions go on or begin."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from onionskin.memory.errors import ImportConflictError, SessionClosedError, UnknownSessionError
from onionskin.memory.store import RedisStore, keys
from onionskin.memory.types.change_log import Cursor, Put
from onionskin.memory.types.messages import (
    Committed,
    ImportStep,
    Message,
    Session,
    SummaryState,
    User,
    Vector,
)
from onionskin.memory.types.snapshot import Snapshot
from tests.conftest import RedisClient

_IDLE = timedelta(minutes=30).total_seconds()
_VECTOR: Vector = np.ones(4, dtype=np.float32)


async def _read(
    store: RedisStore, user: User, now: float, session_id: str | None = None
) -> Snapshot:
    return await store.transcripts.load_turn(user, session_id, now=now, since=Cursor())


async def _turn(
    store: RedisStore, user: User, now: float, session_id: str | None = None
) -> Committed:
    snapshot = await _read(store, user, now, session_id)
    said = (Message("user", f"said at {now}", now), _VECTOR)
    replied = (Message("assistant", f"replied at {now}", now), None)
    return await store.transcripts.commit(
        user, snapshot.session, [said, replied], create=snapshot.is_new
    )


async def test_a_session_goes_on_until_it_is_idle(store: RedisStore, user: User) -> None:
    first = await _turn(store, user, 1000.0)
    again = await _turn(store, user, 1000.0 + _IDLE)
    later = await _turn(store, user, 1001.0 + 2 * _IDLE)
    assert again.session_id == first.session_id
    assert (again.position, again.length) == (2, 4)
    assert later.session_id != first.session_id
    assert later.position == 0


async def test_a_clock_that_goes_back_starts_no_session(store: RedisStore, user: User) -> None:
    first = await _turn(store, user, 5000.0)
    earlier = await _turn(store, user, 1000.0)
    assert earlier.session_id == first.session_id
    assert (await store.sessions.get(user, first.session_id)).active == 5000.0


async def test_a_closed_session_is_read_and_not_gone_on_with(store: RedisStore, user: User) -> None:
    first = await _turn(store, user, 1000.0)
    await store.sessions.close(user, first.session_id)
    with pytest.raises(SessionClosedError):
        await _read(store, user, 1001.0, first.session_id)
    assert (await _turn(store, user, 1001.0)).session_id != first.session_id
    assert len(await store.transcripts.read(user, first.session_id, start=0, count=9)) == 2


async def test_a_session_of_nobody_or_of_another_is_unknown(store: RedisStore, user: User) -> None:
    first = await _turn(store, user, 1000.0)
    for stranger in (User("bob"), User(user.id, tenant="other")):
        with pytest.raises(UnknownSessionError, match=first.session_id):
            await _read(store, stranger, 1001.0, first.session_id)
        for act in (store.sessions.close, store.sessions.delete):
            with pytest.raises(UnknownSessionError):
                await act(stranger, first.session_id)
    assert (await store.sessions.get(user, first.session_id)).length == 2


async def test_a_new_session_follows_the_last_five(store: RedisStore, user: User) -> None:
    made: list[str] = []
    for number in range(7):
        committed = await _turn(store, user, 10_000.0 * (number + 1))
        made.append(committed.session_id)
    await store.sessions.save_summary(
        user, made[-1], SummaryState(), SummaryState(2, 2, "A summary.", "")
    )
    snapshot = await _read(store, user, 1_000_000.0)
    assert snapshot.is_new
    assert [digest.session_id for digest in snapshot.digests] == made[:1:-1]
    assert snapshot.session.continued_from == tuple(made[:1:-1])
    assert snapshot.digests[0].summary_state.summary == "A summary."
    assert snapshot.digests[0].tail == ()
    assert [entry.position for entry in snapshot.digests[1].tail] == [0, 1]
    begun = await _turn(store, user, 1_000_000.0)
    await store.sessions.delete(user, made[-2])
    snapshot = await _read(store, user, 1_000_001.0, begun.session_id)
    assert [digest.session_id for digest in snapshot.digests] == [made[-1], *made[4:1:-1]]


async def test_a_view_gets_what_it_missed_and_no_more(store: RedisStore, user: User) -> None:
    first = await _turn(store, user, 1000.0)
    seen = (await _read(store, user, 1001.0)).changes
    assert seen
    await _turn(store, user, 1001.0)
    missed = (await store.transcripts.load_turn(user, now=1002.0, since=seen.cursor)).changes
    assert missed
    (put,) = missed.items
    assert isinstance(put, Put)
    assert [entry.id for entry in put.entries] == [f"{first.session_id}:{n}" for n in (2, 3)]
    assert put.entries[0].vector is not None
    assert put.entries[1].vector is None
    again = (await store.transcripts.load_turn(user, now=1003.0, since=missed.cursor)).changes
    assert again
    assert again.items == ()


async def test_one_round_trip_reads_and_one_writes(
    store: RedisStore, user: User, redis: RedisClient
) -> None:
    await _turn(store, user, 1000.0)  # the server knows the scripts now
    before = await redis.info("commandstats")
    for number in range(10):
        await _turn(store, user, 1001.0 + number)
    after = await redis.info("commandstats")
    calls = after["cmdstat_evalsha"]["calls"] - before["cmdstat_evalsha"]["calls"]
    assert calls == 20
    assert after.get("cmdstat_eval") == before.get("cmdstat_eval")


async def test_a_commit_that_is_sent_twice_is_stored_once(
    store: RedisStore, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def same(_: int) -> str:
        return "same"

    monkeypatch.setattr("onionskin.memory.store.transcripts.secrets.token_hex", same)
    first = await _turn(store, user, 1000.0)
    snapshot = await _read(store, user, 1001.0, first.session_id)
    pair = [(Message("user", "once more", 1001.0), None)]
    again = await store.transcripts.commit(user, snapshot.session, pair, create=False)
    assert again == first
    assert (await store.sessions.get(user, first.session_id)).length == 2


async def test_a_deleted_session_is_not_brought_back(store: RedisStore, user: User) -> None:
    first = await _turn(store, user, 1000.0)
    snapshot = await _read(store, user, 1001.0)
    assert await store.sessions.delete(user, first.session_id) == 2
    with pytest.raises(UnknownSessionError):
        await store.transcripts.commit(
            user, snapshot.session, [(Message("user", "late", 1001.0), None)], create=False
        )
    assert await store.sessions.list(user, after=None, count=9) == []
    assert [page async for page in store.transcripts.read_all(user)] == []


async def test_of_two_folds_from_one_reading_one_counts(store: RedisStore, user: User) -> None:
    first = await _turn(store, user, 1000.0)
    assert await store.sessions.save_summary(
        user, first.session_id, SummaryState(), SummaryState(2, 2, "one", "")
    )
    assert not await store.sessions.save_summary(
        user, first.session_id, SummaryState(), SummaryState(1, 1, "two", "")
    )
    assert not await store.sessions.save_summary(
        user, first.session_id, SummaryState(2, 2), SummaryState(3, 3, "too far", "")
    )
    assert not await store.sessions.save_summary(
        user, "s_nobody", SummaryState(), SummaryState(1, 1, "nothing", "")
    )
    assert (await store.sessions.get(user, first.session_id)).summary_state.summary == "one"


async def test_an_import_counts_its_lines_with_its_messages(store: RedisStore, user: User) -> None:
    session = Session("s_import", 1000.0, 1000.0)
    batch = [(Message("user", "imported", 1000.0), None)]
    await store.transcripts.commit(user, session, batch, create=True, step=ImportStep("i", 0, 1))
    with pytest.raises(ImportConflictError):
        await store.transcripts.commit(
            user, session, batch, create=True, step=ImportStep("i", 0, 1)
        )
    await store.transcripts.commit(user, session, batch, create=True, step=ImportStep("i", 1, 2))
    assert (await store.sessions.get(user, session.id)).length == 2


async def test_every_key_expires_or_is_listed_as_permanent(
    store: RedisStore, user: User, redis: RedisClient
) -> None:
    first = await _turn(store, user, 1000.0)
    step = ImportStep("i", 0, 1)
    imported = Session("s_import", 1.0, 1.0)
    await store.transcripts.commit(
        user, imported, [(Message("user", "x", 1.0), None)], create=True, step=step
    )
    await store.locks.acquire(user, f"fold:{first.session_id}", timeout=timedelta(minutes=1))
    found = [key.decode() async for key in redis.scan_iter("*")]
    assert len(found) >= 9
    for key in found:
        rest = key.removeprefix(keys.prefix(user))
        lives = await redis.ttl(key)
        assert (lives == -1) == rest.startswith(keys.PERMANENT), key


async def test_sessions_of_one_moment_are_paged_without_gap_or_repeat(
    store: RedisStore, user: User
) -> None:
    made = {f"s_{number:016x}" for number in range(25)}
    for session_id in made:
        session = Session(session_id, 1000.0, 1000.0)
        await store.transcripts.commit(
            user, session, [(Message("user", "x", 1000.0), None)], create=True
        )
    seen: list[str] = []
    after: tuple[float, str] | None = None
    while page := await store.sessions.list(user, after=after, count=7):
        seen += [session.id for session in page]
        after = (page[-1].active, page[-1].id)
    assert len(seen) == len(made)
    assert set(seen) == made


async def test_only_the_wanted_tail_is_read(store: RedisStore, user: User) -> None:
    for number in range(10):
        await _turn(store, user, 1000.0 + number)
    snapshot = await store.transcripts.load_turn(user, now=1010.0, since=None, tail=4)
    assert [entry.position for entry in snapshot.unfolded] == [16, 17, 18, 19]
    assert replace(snapshot, unfolded=()).changes is None
