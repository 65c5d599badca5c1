"""A Redis that is away, silent or full: a named error in bounded time, and nothing half-written."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import uvloop

from onionskin.memory.errors import ConfigurationError, StoreRefusedError, StoreUnavailableError
from onionskin.memory.store import Connection, RedisStore
from onionskin.memory.store.redis.embedded import EmbeddedRedis
from onionskin.memory.types.messages import Message, Session, User
from tests.conftest import RedisClient, plain_client

_SESSION = Session("s_1", 1.0, 1.0)
_PAIR = [(Message("user", "said", 1.0), None), (Message("assistant", "replied", 1.0), None)]


@asynccontextmanager
async def _store(url: str, *, seconds: float = 60.0) -> AsyncGenerator[RedisStore]:
    connection = Connection(url, timeout=timedelta(seconds=seconds))
    try:
        yield RedisStore(connection, embedder_tag="x")
    finally:
        await connection.aclose()


@contextmanager
def _silent(server: EmbeddedRedis) -> Generator[None]:
    """A server that accepts connections, and says nothing."""
    assert server.pid
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


@pytest.mark.parametrize("url", ["unix://{folder}/nobody.sock", "redis://127.0.0.1:1"])
async def test_where_nobody_listens_it_is_said_at_once(
    url: str, tmp_path: Path, user: User
) -> None:
    started = time.monotonic()
    async with _store(url.format(folder=tmp_path)) as store:
        with pytest.raises(StoreUnavailableError) as caught:
            await store.transcripts.load_turn(user, now=1.0, since=None)
        with pytest.raises(StoreUnavailableError):
            await store.ping()
    assert time.monotonic() - started < 30
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("warm", [True, False])
async def test_a_silent_redis_is_given_up_after_the_timeout(
    tmp_path: Path, user: User, warm: bool
) -> None:
    async with EmbeddedRedis(tmp_path) as server, _store(server.url, seconds=1.0) as store:
        if warm:
            await store.ping()
        with _silent(server):
            started = time.monotonic()
            with pytest.raises(StoreUnavailableError):
                await store.transcripts.load_turn(user, now=1.0, since=None)
            assert time.monotonic() - started < 15
        assert (await store.transcripts.load_turn(user, now=1.0, since=None)).is_new


def test_a_connection_that_has_just_broken_is_replaced_under_uvloop(tmp_path: Path) -> None:
    async def broken_in_between() -> None:
        async with EmbeddedRedis(tmp_path) as server, _store(server.url) as store:
            await store.ping()
            client: RedisClient = store.connection.commands
            (connection,) = client.connection_pool._available_connections
            connection._writer.transport.abort()  # its writer does not know yet, and would raise
            await store.ping()

    uvloop.run(broken_in_between())


def test_a_script_goes_on_where_its_connection_has_just_broken(tmp_path: Path) -> None:
    async def broken_in_between() -> None:
        async with EmbeddedRedis(tmp_path) as server, _store(server.url) as store:
            await store.transcripts.load_turn(User("ann"), now=1.0, since=None)
            kept: RedisClient = store.connection
            (connection,) = kept._pinned._idle
            connection._writer.transport.abort()
            for _ in range(2):  # the client's way, and then on the same connection, reconnected
                assert (await store.transcripts.load_turn(User("ann"), now=1.0, since=None)).is_new
            assert kept._pinned._idle == [connection]
            assert connection.is_connected

    uvloop.run(broken_in_between())


async def test_more_scripts_at_once_than_there_are_connections_leave_some_for_the_next(
    tmp_path: Path, user: User
) -> None:
    async with EmbeddedRedis(tmp_path) as server, _store(server.url) as store:
        asked = (store.transcripts.load_turn(user, now=1.0, since=None) for _ in range(150))
        await asyncio.gather(*asked, return_exceptions=True)
        await store.ping()
        client: RedisClient = store.connection.commands
        await client.script_flush()
        assert (await store.transcripts.load_turn(user, now=1.0, since=None)).is_new


async def test_a_commit_that_timed_out_is_stored_whole_or_not_at_all(
    tmp_path: Path, user: User
) -> None:
    async with EmbeddedRedis(tmp_path) as server:
        async with _store(server.url, seconds=0.8) as store:
            await store.transcripts.commit(user, _SESSION, _PAIR, create=True)
            with _silent(server), pytest.raises(StoreUnavailableError) as caught:
                await store.transcripts.commit(user, _SESSION, _PAIR, create=False)
        assert "nothing was stored" not in str(caught.value)  # nobody can know
        await _nobody_else(server)
        async with _store(server.url) as store:
            length = (await store.sessions.get(user, "s_1")).length
            assert length in {2, 4}
            assert len(await store.transcripts.read(user, "s_1", start=0, count=9)) == length


async def _nobody_else(server: EmbeddedRedis) -> None:
    """Until the server has read what those who gave up had sent, and let them go."""
    client = plain_client(server.url)
    async with asyncio.timeout(10):
        while len(await client.client_list()) > 1:  # noqa: ASYNC110 - it is the server's turn
            await asyncio.sleep(0.01)
    await client.aclose()


async def _everything(client: RedisClient) -> dict[bytes, bytes]:
    return {key: await client.dump(key) async for key in client.scan_iter("*")}


async def test_a_full_redis_refuses_the_turn_whole(tmp_path: Path, user: User) -> None:
    async with EmbeddedRedis(tmp_path) as server, _store(server.url) as store:
        client = plain_client(server.url)
        await store.transcripts.commit(user, _SESSION, _PAIR, create=True)
        before = await _everything(client)
        await client.config_set("maxmemory", "1mb")
        for session, create in ((_SESSION, False), (Session("s_2", 1.0, 1.0), True)):
            with pytest.raises(StoreRefusedError, match="memory"):
                await store.transcripts.commit(user, session, _PAIR, create=create)
        assert await _everything(client) == before
        assert (
            await store.transcripts.load_turn(user, "s_1", now=1.0, since=None)
        ).session.length == 2
        await client.config_set("maxmemory", "0")
        assert (await store.transcripts.commit(user, _SESSION, _PAIR, create=False)).length == 4
        await client.aclose()


async def test_a_redis_that_fills_up_in_the_middle_of_a_turn_stores_it_whole_or_not(
    tmp_path: Path, user: User
) -> None:
    long = [(Message("user", "x" * 20_000, 1.0), None)] * 20
    async with EmbeddedRedis(tmp_path) as server, _store(server.url) as store:
        client = plain_client(server.url)
        await store.transcripts.commit(user, _SESSION, _PAIR, create=True)
        room = (await client.info("memory"))["used_memory"] + 3_000_000
        await client.config_set("maxmemory", room)
        length = 2

        async def fill() -> None:
            nonlocal length
            while length < 1000:
                length = (await store.transcripts.commit(user, _SESSION, long, create=False)).length

        with pytest.raises(StoreRefusedError):
            await fill()
        assert length > 2
        assert (await store.sessions.get(user, "s_1")).length == length
        assert len(await store.transcripts.read(user, "s_1", start=0, count=1000)) == length
        assert await client.xlen(f"onionskin:{{default/{user.id}}}:log") == 1 + (length - 2) // 20
        await client.aclose()


@pytest.mark.parametrize("url", ["", "http://x", "localhost:6379", "redis+other://h", "REDIS"])
def test_an_unknown_scheme_is_answered_with_the_known_ones(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Connection(url)
    for known in ("redis://", "rediss://", "unix://", "redis+sentinel://", "redis+cluster://"):
        assert known in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://h:port",
        "redis+sentinel://h:port/mine",
        "redis+cluster://h:port",
        "redis+cluster://",
        "redis://[::1",
    ],
)
def test_an_address_that_cannot_be_read_is_a_matter_of_configuration(url: str) -> None:
    with pytest.raises(ConfigurationError, match="ONIONSKIN_REDIS_URL"):
        Connection(url)
