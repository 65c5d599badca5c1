"""Turns that want one session: who waits goes on in order of arrival, and nobody waits in vain."""

import asyncio

import pytest

from onionskin.memory.errors import SessionBusyError
from onionskin.memory.session_lock import OnConflict, SessionLock, acquire
from onionskin.memory.store import RedisStore
from onionskin.memory.types.messages import Committed, Message, Session, User
from onionskin.memory.types.snapshot import Snapshot
from tests.conftest import RedisClient

_SESSION = Session("s_0123456789abcdef", 1000.0, 1000.0)
_HI = [(Message("user", "Hi.", 1000.0), None), (Message("assistant", "Yes.", 1000.0), None)]
_LINE = f"onionskin:{{default/alice}}:lease:line:{_SESSION.id}"


async def _ask(store: RedisStore, user: User, hold: SessionLock) -> Snapshot:
    return await store.transcripts.load_turn(user, _SESSION.id, now=1000.0, since=None, lock=hold)


async def _wait(store: RedisStore, user: User, hold: SessionLock) -> Snapshot:
    return await acquire(hold, lambda: _ask(store, user, hold))


async def _free(store: RedisStore, user: User, hold: SessionLock) -> None:
    await store.locks.release_session(user, _SESSION.id, hold.token)


async def _store(
    store: RedisStore, user: User, hold: SessionLock | None = None, nonce: str = ""
) -> Committed:
    token = hold.token if hold else ""
    return await store.transcripts.commit(
        user, _SESSION, _HI, create=True, lock_token=token, nonce=nonce
    )


async def _is_busy(store: RedisStore, user: User, policy: OnConflict = "reject") -> bool:
    hold = SessionLock.new(policy)
    try:
        await _ask(store, user, hold)
    except SessionBusyError:
        return True
    await _free(store, user, hold)
    return False


async def _in_line(redis: RedisClient, count: int) -> None:
    async with asyncio.timeout(10):
        while await redis.llen(_LINE) != count:  # noqa: ASYNC110 - what is waited for is in Redis
            await asyncio.sleep(0.001)


async def test_many_that_wait_go_on_in_the_order_of_arrival(
    store: RedisStore, user: User, redis: RedisClient
) -> None:
    await _store(store, user)
    first, order = SessionLock.new("queue"), list[int]()
    await _ask(store, user, first)

    async def turn(number: int) -> None:
        hold = SessionLock.new("queue")
        snapshot = await _wait(store, user, hold)
        assert snapshot.session.length == 2 + 2 * len(order)
        order.append(number)
        await _store(store, user, hold)

    async with asyncio.TaskGroup() as turns:
        for number in range(50):
            turns.create_task(turn(number))
            await _in_line(redis, number + 1)
        assert await _is_busy(store, user)
        await _free(store, user, first)
    assert order == list(range(50))
    assert not await _is_busy(store, user)


async def test_a_place_is_reported_and_a_refused_turn_takes_none(
    store: RedisStore, user: User, redis: RedisClient
) -> None:
    await _store(store, user)
    await _ask(store, user, SessionLock.new("queue"))
    waiting = [SessionLock.new("queue") for _ in range(3)]
    for number in (1, 2, 3):
        for _ in range(2):
            with pytest.raises(SessionBusyError) as caught:
                await _ask(store, user, waiting[number - 1])
            assert caught.value.place == number
    assert await _is_busy(store, user, "reject")
    assert await redis.llen(_LINE) == 3


async def test_who_died_in_the_line_is_passed_over(
    store: RedisStore, user: User, redis: RedisClient
) -> None:
    await _store(store, user)
    first, dead, alive = (SessionLock.new("queue") for _ in range(3))
    await _ask(store, user, first)
    with pytest.raises(SessionBusyError):
        await _ask(store, user, dead)
    waiting = asyncio.create_task(_wait(store, user, alive))
    await _in_line(redis, 2)
    await _free(store, user, first)
    await asyncio.wait_for(waiting, 10)
    assert await redis.llen(_LINE) == 0


async def test_who_interrupts_is_next_and_stops_who_was_there_when_it_came(
    store: RedisStore, user: User
) -> None:
    await _store(store, user)
    holder, patient, older, newer = (
        SessionLock.new(p) for p in ("queue", "queue", "interrupt", "interrupt")
    )
    await _ask(store, user, holder)
    for hold in (patient, older, newer):
        with pytest.raises(SessionBusyError):
            await _ask(store, user, hold)
    assert await store.locks.renew_session(user, _SESSION.id, holder.token)
    await _store(store, user, holder)
    await _ask(store, user, newer)
    with pytest.raises(SessionBusyError):
        await _ask(store, user, older)
    assert not await store.locks.renew_session(user, _SESSION.id, newer.token)
    await _store(store, user, newer)
    with pytest.raises(SessionBusyError):
        await _ask(store, user, patient)
    await _ask(store, user, older)


async def test_a_line_leaves_no_key_behind(
    store: RedisStore, user: User, redis: RedisClient
) -> None:
    await _store(store, user)
    await _ask(store, user, SessionLock.new("queue"))
    assert await _is_busy(store, user, "queue")
    for key in await redis.keys("*lease*"):
        assert 0 < await redis.pttl(key) <= 10_000


async def test_a_turn_that_was_stored_before_frees_its_session_all_the_same(
    store: RedisStore, user: User
) -> None:
    await _store(store, user)
    stored = await _store(store, user, nonce="turn:1")
    again = SessionLock.new("queue")
    await _ask(store, user, again)
    assert await _store(store, user, again, nonce="turn:1") == stored
    assert not await _is_busy(store, user)
