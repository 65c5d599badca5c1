"""The store, unchanged, on a Redis Cluster of three nodes and behind a Sentinel."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from redis.crc import key_slot

from onionskin.memory.errors import StoreUnavailableError
from onionskin.memory.retrieval import StaticEmbedder
from onionskin.memory.store import Backoff, Connection, RedisStore, TaskQueue, keys
from onionskin.memory.store.langgraph_checkpoints import CheckpointRow, CheckpointWrite, Thread
from onionskin.memory.store.langgraph_items import ItemContent
from onionskin.memory.store.task_queue import Batch
from onionskin.memory.transfer.exporter import export_user
from onionskin.memory.transfer.upload import UploadHandler
from onionskin.memory.types.change_log import Cursor
from onionskin.memory.types.messages import Message, Session, SummaryState, User
from onionskin.memory.types.tasks import EmbedTask
from tests.topologies.cluster import running_cluster
from tests.topologies.sentinel import running_sentinels

pytestmark = pytest.mark.usefixtures("forgotten")


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _use(url: str, *, users: int) -> None:
    connection = Connection(url)
    store = RedisStore(connection, embedder_tag="x")
    for number in range(users):
        user = User(f"user {{{number}}}")
        snapshot = await store.transcripts.load_turn(user, now=1000.0, since=Cursor())
        said = [(Message("user", f"of {number}", 1000.0), None)] * 2
        committed = await store.transcripts.commit(user, snapshot.session, said, create=True)
        assert await store.sessions.save_summary(
            user, committed.session_id, SummaryState(), SummaryState(1, 1, "summary", "")
        )
        snapshot = await store.transcripts.load_turn(user, now=1001.0, since=Cursor())
        assert [entry.message.content for entry in snapshot.unfolded] == [f"of {number}"]
        assert snapshot.session.summary_state.summary == "summary"
        assert (await store.transcripts.changes_since(user, Cursor())).cursor.sequence == 1
        assert len(await store.sessions.list(user, after=None, count=9)) == 1
        assert [len(page) async for page in store.transcripts.read_all(user)] == [2]
    found = [one async for one in store.sessions.all()]
    assert len(found) == users
    await store.ping()
    assert await store.sessions.delete(*found[0]) == 2
    assert len(await store.users.list("default", after="", count=99)) == users
    last, to = found[1][0], User("moved")
    data = b"".join([page async for page in export_user(store, last)])
    intake = UploadHandler(store, StaticEmbedder(), clock=lambda: 1000.0, on_task=lambda _: None)
    await intake.run(to, "moved", _once(data))
    assert b"".join([page async for page in export_user(store, to)]) == data
    for user in (last, to):
        await _use_threads(store, user)
        assert (await store.users.stats(user)).messages == 2
        assert (await store.deletion.erase_user(user)).messages == 2
        assert [key async for key in store.connection.scan_keys(f"{keys.prefix(user)}*")] == []
    assert len(await store.users.list("default", after="", count=99)) == users - 1
    await _use_agenda(connection)
    await connection.aclose()


async def _use_threads(store: RedisStore, user: User) -> None:
    thread, row = (
        Thread(user, "a {thread}"),
        CheckpointRow("", "1", "", ("bytes", b"c"), ("bytes", b"m")),
    )
    await store.langgraph_checkpoints.put(thread, row, {("c", "1"): ("bytes", b"v")})
    await store.langgraph_checkpoints.put_writes(
        thread, "1", [CheckpointWrite("t", 0, "", "c", ("bytes", b"w"))]
    )
    await store.langgraph_items.put(user, [(("n",), "i", ItemContent({"v": 1}, 1.0))], now=1.0)
    found = await store.langgraph_checkpoints.get(thread, None)
    assert found
    assert (found[0], len(found[1])) == (row, 1)
    assert await store.langgraph_checkpoints.channels(thread, [("c", "1")]) == {
        ("c", "1"): ("bytes", b"v")
    }
    assert await store.langgraph_checkpoints.threads(user) == ["a {thread}"]
    assert await store.langgraph_items.paths(user) == [(("n",), "i")]


async def _use_agenda(connection: Connection) -> None:
    one, two = TaskQueue(connection), TaskQueue(connection, backoff=Backoff(attempts=1))
    dues = [EmbedTask(User(f"user {{{number}}}")) for number in range(5)]
    assert await one.claim(dues[0])
    await one.schedule(*dues[1:])
    found = await two.fetch(9)
    assert (set(found.tasks), found.waiting) == (set(dues[1:]), 5)
    assert await two.fail(dues[1], "model_failed")
    for due in dues[2:]:
        await two.complete(due)
    await one.complete(dues[0])
    assert [given_up.task for given_up in await TaskQueue(connection).dead()] == [dues[1]]
    await TaskQueue(connection).forget_user(dues[1].user)
    assert (await one.fetch(9)) == Batch((), 0, 0)


async def test_the_store_works_unchanged_on_a_cluster(tmp_path: Path) -> None:
    async with running_cluster(tmp_path, replicas=0) as cluster:
        await _use(cluster.url, users=30)


async def test_while_a_slot_is_moved_its_users_are_unavailable_and_not_taken_for_new(
    tmp_path: Path, user: User
) -> None:
    said = [(Message("user", "x", 1.0), None)] * 2
    async with running_cluster(tmp_path, replicas=0) as cluster:
        connection, place = Connection(cluster.url), keys.prefix(user)
        store, slot = RedisStore(connection, embedder_tag="x"), key_slot(place.encode())
        committed = await store.transcripts.commit(
            user, Session("s_1", 1.0, 1.0), said, create=True
        )
        source = await cluster.primary_of(place)
        target = next(node for node in cluster.nodes if node is not source)
        here, there = await source.ask("CLUSTER", "MYID"), await target.ask("CLUSTER", "MYID")
        await target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", here)
        await source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", there)
        with pytest.raises(StoreUnavailableError):
            await store.transcripts.load_turn(user, now=2.0, since=None)
        with pytest.raises(StoreUnavailableError):
            await store.transcripts.commit(user, Session("s_1", 1.0, 1.0), said, create=True)
        await source.ask("CLUSTER", "SETSLOT", slot, "STABLE")
        await target.ask("CLUSTER", "SETSLOT", slot, "STABLE")
        snapshot = await store.transcripts.load_turn(user, now=2.0, since=None)
        assert snapshot.session.length == committed.length == 2
        await connection.aclose()


# redis-py leaves the sockets of nodes that it closes in the middle of a command to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_connections_that_another_command_has_closed_are_unavailable(
    tmp_path: Path,
) -> None:
    async with running_cluster(tmp_path, replicas=0) as cluster:
        connection = Connection(cluster.url)
        store = RedisStore(connection, embedder_tag="x")

        async def ask(number: int) -> None:
            with suppress(StoreUnavailableError):
                await store.transcripts.load_turn(User(f"user {number}"), now=1.0, since=None)

        for _ in range(20):
            asked = [asyncio.create_task(ask(number)) for number in range(30)]
            await asyncio.sleep(0)
            await connection.commands.aclose()  # as redis-py does when the cluster is down
            await asyncio.gather(*asked)
        await connection.aclose()
    gc.collect()


async def test_the_store_works_unchanged_behind_a_sentinel(tmp_path: Path) -> None:
    async with running_sentinels(tmp_path, replicas=0, sentinels=1) as watched:
        await _use(watched.url, users=3)
