"""The store, unchanged, on a Redis Cluster of three nodes and behind a Sentinel."""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from redis.exceptions import RedisError

from memory.changes import Cursor
from memory.due import EmbedDue
from memory.exporting import export_user
from memory.intake import Intake
from memory.recall.embedder import StaticEmbedder
from memory.store import Connection, RedisStore, keys
from memory.store.agenda import Agenda, Backoff, Taken, forget_user, list_given_up
from memory.store.embedded import find_server
from memory.store.erasing import erase_user
from memory.store.items import Content, list_paths, put_items
from memory.store.reading import list_sessions, read_everything
from memory.store.threads import (
    Row,
    Thread,
    Written,
    list_threads,
    put_checkpoint,
    put_writes,
    read_channels,
    read_checkpoint,
)
from memory.store.users import list_users, scan_keys, user_stats
from memory.types import Fold, Message, User
from tests.conftest import plain_client

_SLOTS = 16384


def _free_port() -> int:
    """A port whose bus port, 10000 above, a cluster can bind too."""
    while True:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = int(found.getsockname()[1])
        if port < 50_000:
            return port


@asynccontextmanager
async def _server(directory: Path, port: int, *options: str) -> AsyncGenerator[None]:
    directory.mkdir()
    process = await asyncio.create_subprocess_exec(
        str(find_server()),
        *options,
        *("--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)),
        stdout=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    client = plain_client(f"redis://127.0.0.1:{port}")
    try:
        async with asyncio.timeout(10):
            while True:
                try:
                    await client.ping()
                    break
                except (OSError, RedisError):
                    await asyncio.sleep(0.01)
        yield
    finally:
        await client.aclose()
        process.terminate()
        await process.wait()


async def _form_cluster(ports: list[int]) -> None:
    clients = [plain_client(f"redis://127.0.0.1:{port}") for port in ports]
    share = _SLOTS // len(ports)
    for number, client in enumerate(clients):
        last = _SLOTS - 1 if number == len(ports) - 1 else (number + 1) * share - 1
        await client.execute_command("CLUSTER", "ADDSLOTSRANGE", number * share, last)
        for port in ports:
            await client.execute_command("CLUSTER", "MEET", "127.0.0.1", port)
    async with asyncio.timeout(30):
        for client in clients:
            while not _formed(str(await client.execute_command("CLUSTER", "INFO"))):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    for client in clients:
        await client.aclose()


def _formed(info: str) -> bool:
    compact = info.replace("'", "").replace(" ", "")
    return "cluster_state:ok" in compact and "cluster_known_nodes:3" in compact


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _use(url: str, *, users: int) -> None:
    connection = Connection(url)
    store = RedisStore(connection, embedder_tag="x")
    for number in range(users):
        user = User(f"user {{{number}}}")
        snapshot = await store.snapshot(user, now=1000.0, view=Cursor())
        said = [(Message("user", f"of {number}", 1000.0), None)] * 2
        committed = await store.commit(user, snapshot.session, said, create=True)
        assert await store.fold(user, committed.session_id, Fold(), Fold(1, 1, "summary", ""))
        snapshot = await store.snapshot(user, now=1001.0, view=Cursor())
        assert [entry.message.content for entry in snapshot.unfolded] == [f"of {number}"]
        assert snapshot.session.fold.summary == "summary"
        assert (await store.catch_up(user, Cursor())).cursor.sequence == 1
        assert len(await list_sessions(store, user, after=None, count=9)) == 1
        assert [len(page) async for page in read_everything(store, user)] == [2]
    found = [one async for one in store.all_sessions()]
    assert len(found) == users
    await store.ping()
    assert await store.drop(*found[0]) == 2
    assert len(await list_users(store, "default", after="", count=99)) == users
    last, to = found[1][0], User("moved")
    data = b"".join([page async for page in export_user(store, last)])
    intake = Intake(store, StaticEmbedder(), clock=lambda: 1000.0, after=lambda _: None)
    await intake.run(to, "moved", _once(data))
    assert b"".join([page async for page in export_user(store, to)]) == data
    for user in (last, to):
        await _use_threads(store, user)
        assert (await user_stats(store, user)).messages == 2
        assert (await erase_user(store, user)).messages == 2
        assert [key async for key in scan_keys(store, f"{keys.prefix(user)}*")] == []
    assert len(await list_users(store, "default", after="", count=99)) == users - 1
    await _use_agenda(connection)
    await connection.aclose()


async def _use_threads(store: RedisStore, user: User) -> None:
    thread, row = Thread(user, "a {thread}"), Row("", "1", "", ("bytes", b"c"), ("bytes", b"m"))
    await put_checkpoint(store, thread, row, {("c", "1"): ("bytes", b"v")})
    await put_writes(store, thread, "1", [Written("t", 0, "", "c", ("bytes", b"w"))])
    await put_items(store, user, [(("n",), "i", Content({"v": 1}, 1.0))], now=1.0)
    found = await read_checkpoint(store, thread, None)
    assert found
    assert (found[0], len(found[1])) == (row, 1)
    assert await read_channels(store, thread, [("c", "1")]) == {("c", "1"): ("bytes", b"v")}
    assert await list_threads(store, user) == ["a {thread}"]
    assert await list_paths(store, user) == [(("n",), "i")]


async def _use_agenda(connection: Connection) -> None:
    one, two = Agenda(connection), Agenda(connection, backoff=Backoff(attempts=1))
    dues = [EmbedDue(User(f"user {{{number}}}")) for number in range(5)]
    assert await one.begin(dues[0])
    await one.note(*dues[1:])
    found = await two.take(9)
    assert (set(found.dues), found.waiting) == (set(dues[1:]), 5)
    assert await two.failed(dues[1], "model_failed")
    for due in dues[2:]:
        await two.done(due)
    await one.done(dues[0])
    assert [given_up.due for given_up in await list_given_up(connection)] == [dues[1]]
    await forget_user(connection, dues[1].user)
    assert (await one.take(9)) == Taken((), 0, 0)


async def test_the_store_works_unchanged_on_a_cluster(tmp_path: Path) -> None:
    ports = [_free_port() for _ in range(3)]
    async with AsyncExitStack() as stack:
        for port in ports:
            options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--save", "")
            await stack.enter_async_context(_server(tmp_path / str(port), port, *options))
        await _form_cluster(ports)
        await _use(f"redis+cluster://127.0.0.1:{ports[0]}", users=30)


async def test_the_store_works_unchanged_behind_a_sentinel(tmp_path: Path) -> None:
    port, sentinel = _free_port(), _free_port()
    configuration = tmp_path / "sentinel.conf"
    configuration.write_text(f"sentinel monitor mine 127.0.0.1 {port} 1\n")
    async with (
        _server(tmp_path / "primary", port, "--save", ""),
        _server(tmp_path / "sentinel", sentinel, str(configuration), "--sentinel"),
    ):
        await _use(f"redis+sentinel://127.0.0.1:{sentinel}/mine", users=3)
