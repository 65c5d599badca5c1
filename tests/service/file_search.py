"""Searching all that a service leaves behind: Redis, its files and its log, byte by byte."""

import asyncio
import contextlib
import re
from pathlib import Path

from onionskin.memory.store.redis.embedded import socket_path
from tests.conftest import RedisClient, plain_client


def found_in_redis(data_dir: Path, wanted: str) -> list[str]:
    """The keys that hold a text, in their names or in what is stored under them."""
    return asyncio.run(_found_in_redis(f"unix://{socket_path(data_dir.resolve())}", wanted))


def found_in_files(folder: Path, wanted: str) -> list[str]:
    """The files of a folder that hold a text, in any case."""
    needle = re.compile(re.escape(wanted).encode(), re.IGNORECASE)
    while True:
        files = [one for one in folder.rglob("*") if one.is_file()]
        with contextlib.suppress(FileNotFoundError):  # a server has put another in its place
            return [one.name for one in files if needle.search(one.read_bytes())]


async def _found_in_redis(url: str, wanted: str) -> list[str]:
    client = plain_client(url)
    needle = wanted.casefold()
    try:
        keys = [key async for key in client.scan_iter()]
        held = [(key, await _held(client, key)) for key in keys]
        return [repr(key) for key, value in held if needle in repr((key, value)).casefold()]
    finally:
        await client.aclose()


async def _held(client: RedisClient, key: bytes) -> object:
    match await client.type(key):
        case b"string":
            return await client.get(key)
        case b"hash":
            return await client.hgetall(key)
        case b"list":
            return await client.lrange(key, 0, -1)
        case b"zset":
            return await client.zrange(key, 0, -1)
        case b"stream":
            return await client.xrange(key)
        case b"none":
            return None  # it has expired
        case kind:
            raise AssertionError(f"nobody searches a {kind!r}")
