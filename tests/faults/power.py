"""A Redis that loses power: data that were not synced to disk may be lost."""

import asyncio
import os
import random
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self

from onionskin.memory.store.redis.embedded import answers, configuration, socket_path
from onionskin.memory.store.redis.server_binary import choose_server

_SOURCE = Path(__file__).with_name("power_loss.c")
_HEAD, _FILE, _SIZE = struct.Struct("iiQ"), struct.Struct("QQ"), 1 << 14
Moment = Literal["before an fsync", "after an fsync", "at any time"]


class PowerlessRedis:
    """The embedded Redis, as `EmbeddedRedis` configures it, on a disk whose power can fail.

    Args:
        folder: for its data, the library that watches its fsyncs, and what that notes.
    """

    def __init__(self, folder: Path) -> None:
        self._data, self._notes = folder / "data", folder / "synced"
        self._library = folder / "power_loss.so"
        self._data.mkdir(parents=True)
        self.socket = socket_path(self._data)
        self.url = f"unix://{self.socket}"
        self._process: asyncio.subprocess.Process | None = None
        self._synced: dict[int, int] = {}

    async def __aenter__(self) -> Self:
        command = ("gcc", "-shared", "-fPIC", "-O2", "-o", self._library, _SOURCE, "-ldl")
        subprocess.run(command, check=True)  # noqa: ASYNC221 - nothing else runs yet
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def start(self) -> None:
        """Switch it on, and wait until it answers."""
        self._notes.unlink(missing_ok=True)
        self._notes.write_bytes(bytes(_SIZE))
        self._synced = {one.stat().st_ino: one.stat().st_size for one in self._data.rglob("*.aof")}
        self.socket.unlink(missing_ok=True)
        self._process = await asyncio.create_subprocess_exec(
            choose_server(self._data).path,
            *configuration(self._data, self.socket, self._data / "redis.log"),
            env=os.environ
            | {"LD_PRELOAD": str(self._library), "ONIONSKIN_SYNCED": str(self._notes)},
        )
        while not await answers(self.socket):
            if self._process.returncode is not None:
                raise AssertionError((self._data / "redis.log").read_text()[-2000:])
            await asyncio.sleep(0.01)

    async def lose_power(self, moment: Moment, *, within: int) -> int:
        """Stop it dead, at a moment that it does not choose; how many bytes were lost.

        Args:
            moment: when.
            within: so many fsyncs at most.
        """
        assert self._process
        if moment == "at any time":
            self._process.kill()
        else:
            countdown = random.randint(1, within)
            head = struct.pack("ii", countdown, moment == "after an fsync")
            with self._notes.open("r+b") as notes:
                notes.write(head)
        try:
            await asyncio.wait_for(self._process.wait(), 30)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        return sum(self._cut())

    def _cut(self) -> Iterator[int]:
        """Cut each file anywhere behind what is on disk for certain."""
        notes = self._notes.read_bytes()
        _, _, used = _HEAD.unpack_from(notes)
        for at in range(used):
            inode, size = _FILE.unpack_from(notes, _HEAD.size + at * _FILE.size)
            self._synced[inode] = size
        for path in self._data.rglob("*.aof"):
            found = path.stat()
            safe = min(self._synced.get(found.st_ino, 0), found.st_size)
            left = random.randint(safe, found.st_size)
            os.truncate(path, left)
            yield found.st_size - left
