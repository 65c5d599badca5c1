"""A lease: one worker at a time, for as long as it takes, and not a moment longer."""

import asyncio

import pytest

from onionskin.memory.errors import TaskRunningError
from onionskin.memory.store import RedisStore, keys
from onionskin.memory.types.messages import User
from tests.conftest import RedisClient


async def test_one_worker_is_at_a_job_at_a_time(store: RedisStore, user: User) -> None:
    async with store.locks.lease(user, "fold:s_1"):
        with pytest.raises(TaskRunningError):
            async with store.locks.lease(user, "fold:s_1"):
                pass
        async with store.locks.lease(user, "fold:s_2"), store.locks.lease(User("bo"), "fold:s_1"):
            pass
    async with store.locks.lease(user, "fold:s_1"):
        pass


async def test_a_lease_is_renewed_for_as_long_as_the_task_runs(
    store: RedisStore, user: User, redis: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onionskin.memory.store.locks._RENEWALS", 1500)  # each 20 ms, of 30 s
    name, renewed = keys.lease(user, "fold:s_1"), 0
    async with store.locks.lease(user, "fold:s_1"):
        before = await redis.pttl(name)
        async with asyncio.timeout(60):
            while renewed < 4:
                left = await redis.pttl(name)
                renewed, before = renewed + (left > before), left
    assert not await redis.exists(name)


async def test_a_worker_that_lost_a_lease_does_not_end_that_of_the_next(
    store: RedisStore, user: User, redis: RedisClient
) -> None:
    name = keys.lease(user, "fold:s_1")
    async with store.locks.lease(user, "fold:s_1"):
        await redis.set(name, "another's")
    assert await redis.get(name) == b"another's"


async def test_the_lease_of_a_worker_that_died_ends_by_itself(
    store: RedisStore, user: User, redis: RedisClient
) -> None:
    await redis.set(keys.lease(user, "fold:s_1"), "the dead one's", px=60_000)
    taken: list[bool] = []

    async def take() -> None:
        async with store.locks.lease(user, "fold:s_1"):
            taken.append(True)

    with pytest.raises(TaskRunningError):
        await take()
    await redis.pexpire(keys.lease(user, "fold:s_1"), 1)
    while await redis.exists(keys.lease(user, "fold:s_1")):
        pass
    await take()
    assert taken
