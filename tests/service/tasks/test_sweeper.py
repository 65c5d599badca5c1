"""The sweep of all sessions: one damaged value stops nobody else's."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from onionskin.memory.errors import UnknownSessionError
from onionskin.memory.privacy.retention import Retention, RetentionOptions
from onionskin.memory.retrieval import StaticEmbedder
from onionskin.memory.store import Connection, RedisStore, TaskQueue, keys
from onionskin.memory.types.messages import Message, Session, User
from onionskin.service.tasks.runner import TaskRunner
from onionskin.service.tasks.sweeper import Sweeper
from tests.conftest import Clock, RedisClient


@pytest.fixture
def store(connection: Connection, embedder: StaticEmbedder, clock: Clock) -> RedisStore:
    retention = Retention(RetentionOptions(), sessions=timedelta(hours=1), clock=clock)
    return RedisStore(connection, embedder_tag=embedder.tag, retention=retention)


@pytest.fixture
async def sweeper(
    store: RedisStore, connection: Connection, clock: Clock
) -> AsyncIterator[Sweeper]:
    async def run(_: object) -> None:
        """Nothing: only what is queued matters."""

    async with TaskRunner(run, TaskQueue(connection), concurrency=0) as tasks:
        yield Sweeper(
            store, {}, tasks, default_profile="layered", close_after=timedelta(), clock=clock
        )


@pytest.mark.parametrize(
    ("field", "value"),
    [("active", "soon"), ("active", ""), ("created", "\xff"), ("length", "many")],
)
async def test_a_damaged_session_is_skipped_and_counted(
    store: RedisStore,
    sweeper: Sweeper,
    redis: RedisClient,
    clock: Clock,
    field: str,
    value: str,
) -> None:
    users = [User(f"user-{number}") for number in range(5)]
    for user in users:
        message = Message("user", "An old message.", clock())
        session = Session("s_1", clock(), clock())
        await store.transcripts.commit(user, session, [(message, None)], create=True)
    damaged = users[2]
    await redis.hset(keys.session(damaged, "s_1"), field, value)
    await sweeper.sweep()
    assert sweeper.damaged == 1
    clock.advance(timedelta(hours=2))
    await sweeper.sweep()
    for user in users:
        if user != damaged:
            with pytest.raises(UnknownSessionError):
                await store.sessions.get(user, "s_1")


@pytest.mark.parametrize("missing", ["its entry", "its time"])
async def test_a_session_that_is_in_no_list_is_repaired_at_the_start(
    store: RedisStore, sweeper: Sweeper, redis: RedisClient, clock: Clock, missing: str
) -> None:
    user = await _user_with_a_hidden_session(store, redis, clock, missing)
    assert await store.sessions.ids(user) == []
    await sweeper.sweep()
    assert await store.sessions.ids(user) == ["s_1"]


@pytest.mark.parametrize("missing", ["its entry", "its time"])
async def test_erasure_deletes_a_session_that_is_in_no_list(
    store: RedisStore, redis: RedisClient, clock: Clock, missing: str
) -> None:
    user = await _user_with_a_hidden_session(store, redis, clock, missing)
    result = await store.deletion.erase_user(user)
    assert (result.sessions, result.messages) == (1, 1)
    assert [key async for key in redis.scan_iter(f"{keys.prefix(user)}*")] == []


async def _user_with_a_hidden_session(
    store: RedisStore, redis: RedisClient, clock: Clock, missing: str
) -> User:
    user, message = User("hidden"), Message("user", "A secret.", clock())
    session = Session("s_1", clock(), clock())
    await store.transcripts.commit(user, session, [(message, None)], create=True)
    await redis.zrem(keys.sessions(user), "s_1")
    if missing == "its time":
        await redis.hdel(keys.session(user, "s_1"), "active")
    return user
