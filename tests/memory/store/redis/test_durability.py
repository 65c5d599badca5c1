"""Writes that wait: acknowledged where there are copies, refused clearly where there are not."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from onionskin.memory.errors import ConfigurationError, StoreUnavailableError, UnknownSessionError
from onionskin.memory.store import Connection, RedisStore
from onionskin.memory.store.api_keys import ApiKeyRegistry
from onionskin.memory.store.redis.durability import Durability
from onionskin.memory.types.messages import Message, Session, User
from tests.topologies.cluster import Cluster, running_cluster
from tests.topologies.node import Node, until
from tests.topologies.sentinel import Watched, running_sentinels

pytestmark = pytest.mark.usefixtures("forgotten")
_ON_ONE_LOOP = pytest.mark.asyncio(loop_scope="module")
_SESSION = Session("s_1", 1.0, 1.0)
_PAIR = [(Message("user", "said", 1.0), None), (Message("assistant", "replied", 1.0), None)]
_RUN: dict[str, Callable[..., AbstractAsyncContextManager[Cluster | Watched]]] = {
    "cluster": running_cluster,
    "sentinel": running_sentinels,
}
_SMALL: dict[str, dict[str, Any]] = {
    "cluster": {"primaries": 1, "node_timeout": 15_000},
    "sentinel": {"replicas": 1, "sentinels": 1},
}


@pytest_asyncio.fixture(params=list(_RUN), scope="module", loop_scope="module")
async def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Cluster | Watched]:
    folder = tmp_path_factory.mktemp(request.param)
    async with _RUN[request.param](folder, **_SMALL[request.param]) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def topology(whole: Cluster | Watched) -> AsyncIterator[Cluster | Watched]:
    """A topology that has forgotten the test before."""
    yield whole
    for node in whole.nodes:
        node.go_on()
    await whole.mend()
    for node in whole.nodes:
        await node.ask("CONFIG", "SET", "min-replicas-to-write", 0)
        await node.ask("CONFIG", "SET", "appendonly", "yes")
    await (await whole.primary_of("")).ask("FLUSHALL")


async def _replica(topology: Cluster | Watched) -> Node:
    (replica,) = await topology.replicas_of(await topology.primary_of(""))
    return replica


@_ON_ONE_LOOP
async def test_what_no_replica_has_is_not_acknowledged_also_when_it_is_sent_again(
    topology: Cluster | Watched, user: User
) -> None:
    connection = Connection(
        topology.url, timeout=timedelta(seconds=5), durability=Durability("replicas", 1)
    )
    store, replica = RedisStore(connection, embedder_tag="x"), await _replica(topology)
    await store.transcripts.commit(user, _SESSION, _PAIR, create=True, nonce="one")
    replica.stop()
    for _ in range(2):
        with pytest.raises(StoreUnavailableError, match="Too few copies"):
            await store.transcripts.commit(user, _SESSION, _PAIR, create=False, nonce="two")
        with pytest.raises(StoreUnavailableError):
            await store.idempotency.find_turn(user, "two")
    with pytest.raises(StoreUnavailableError):
        await ApiKeyRegistry(connection).create(tenant="default", user_id=None, name="", now=1.0)
    replica.go_on()
    assert (
        await store.transcripts.commit(user, _SESSION, _PAIR, create=False, nonce="two")
    ).length == 4
    assert await store.idempotency.find_turn(user, "two")
    assert len(await ApiKeyRegistry(connection).list()) == 1
    assert (await store.deletion.erase_user(user)).messages == 4
    with pytest.raises(UnknownSessionError):
        await store.sessions.get(user, "s_1")
    await connection.aclose()


@_ON_ONE_LOOP
async def test_disks_are_waited_for(topology: Cluster | Watched, user: User) -> None:
    connection = Connection(
        topology.url, timeout=timedelta(seconds=5), durability=Durability("disks", 1)
    )
    store = RedisStore(connection, embedder_tag="x")
    assert (await store.transcripts.commit(user, _SESSION, _PAIR, create=True)).length == 2
    replica = await _replica(topology)
    await replica.ask("CONFIG", "SET", "appendonly", "no")
    with pytest.raises(StoreUnavailableError, match="disks:1"):
        await store.transcripts.commit(user, _SESSION, _PAIR, create=False)
    await connection.aclose()


@_ON_ONE_LOOP
async def test_a_primary_that_wants_replicas_is_unavailable_without_them(
    topology: Cluster | Watched, user: User
) -> None:
    connection = Connection(topology.url, timeout=timedelta(seconds=5))
    store, replica = RedisStore(connection, embedder_tag="x"), await _replica(topology)
    await replica.kill()
    primary = await topology.primary_of("")
    await primary.ask("CONFIG", "SET", "min-replicas-to-write", 1)

    async def is_alone() -> bool:
        return (await primary.info("replication")).get("connected_slaves") == 0

    await until(is_alone)
    with pytest.raises(StoreUnavailableError):
        await store.transcripts.commit(user, _SESSION, _PAIR, create=True)
    await connection.aclose()


@pytest.mark.parametrize("text", ["primary", "replicas:1", "disks:0", "disks:2"])
def test_a_durability_is_written_as_it_is_read(text: str) -> None:
    assert str(Durability.of(text)) == text


@pytest.mark.parametrize("text", ["", "replica", "replicas", "replicas:0", "disks:-1", "disks:x"])
def test_an_unknown_durability_is_a_matter_of_configuration(text: str) -> None:
    with pytest.raises(ConfigurationError, match="replicas:<n>"):
        Durability.of(text)
