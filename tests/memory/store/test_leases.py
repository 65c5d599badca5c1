"""A lease: one worker at a time, for as long as it takes, and not a moment longer."""

from datetime import timedelta

import pytest

from onionskin.memory.errors import TaskRunningError
from onionskin.memory.store import RedisStore, keys
from onionskin.memory.store.locks import leased
from onionskin.memory.types.messages import User
from tests.conftest import RedisClient

_SHORT = timedelta(milliseconds=60)


async def test_one_worker_is_at_a_job_at_a_time(store: RedisStore, user: User) -> None:
    async with leased(store, user, "fold:s_1"):
        with pytest.raises(TaskRunningError):
            async with leased(store, user, "fold:s_1"):
                pass
        async with leased(store, user, "fold:s_2"), leased(store, User("bo"), "fold:s_1"):
            pass
    async with leased(store, user, "fold:s_1"):
        pass


async def test_a_lease_is_held_for_as_long_as_the_job_takes(
    store: RedisStore, user: User, redis: RedisClient
) -> None:
    name, renewed = keys.lease(user, "fold:s_1"), 0
    async with leased(store, user, "fold:s_1", hold=_SHORT):
        before = await redis.pttl(name)
        for _ in range(2000):
            left = await redis.pttl(name)
            renewed, before = renewed + (left > before), left
            if renewed == 4:
                break
        assert renewed == 4
    assert not await redis.exists(name)


async def test_whoever_lost_a_lease_does_not_end_that_of_the_next(
    store: RedisStore, user: User, redis: RedisClient
) -> None:
    name = keys.lease(user, "fold:s_1")
    async with leased(store, user, "fold:s_1"):
        await redis.set(name, "another's")
    assert await redis.get(name) == b"another's"


async def test_the_lease_of_a_worker_that_died_ends_by_itself(
    store: RedisStore, user: User, redis: RedisClient
) -> None:
    await redis.set(keys.lease(user, "fold:s_1"), "the dead one's", px=50)
    taken: list[bool] = []

    async def take() -> None:
        async with leased(store, user, "fold:s_1"):
            taken.append(True)

    with pytest.raises(TaskRunningError):
        await take()
    await redis.pexpire(keys.lease(user, "fold:s_1"), 1)
    while await redis.exists(keys.lease(user, "fold:s_1")):
        pass
    await take()
    assert taken
