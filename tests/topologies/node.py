"""One server of a topology, which can be killed, stopped for a while, and started again."""

import asyncio
import signal
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from onionskin.memory.store.redis.server_binary import choose_server

_HIGHEST_PORT = 50_000
"""A cluster's node binds a port 10,000 above its own, too."""
_SECONDS = 60.0
_given = set[int]()


class Node:
    """A real server on a free port.

    Args:
        folder: for its files; made if it is missing.
        options: as on its command line.
        first: Lines before the others: Sentinel's configuration.
    """

    def __init__(self, folder: Path, *options: str, first: tuple[str, ...] = ()) -> None:
        self.folder, self.port = folder, free_port()
        self._options, self._first = options, first
        self._process: asyncio.subprocess.Process | None = None
        self._client: Any = aioredis.Redis(
            port=self.port, socket_timeout=1.0, retry=Retry(NoBackoff(), retries=0)
        )

    @property
    def runs(self) -> bool:
        """Whether it was started and has not been killed."""
        return self._process is not None

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._process = await asyncio.create_subprocess_exec(
            *(str(choose_server(self.folder).path), *self._first),
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
            *self._options,
            stdout=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        await until(self.answers)

    async def answers(self) -> bool:
        """Whether it does, and has loaded what it holds."""
        try:
            return bool(await self._client.ping())
        except (OSError, RedisError):
            return False

    async def ask(self, *command: object) -> Any:
        """Its answer to a command."""
        return await self._client.execute_command(*command)

    async def info(self, section: str) -> dict[str, Any]:
        """What it says of itself; nothing while it does not answer."""
        with suppress(OSError, RedisError):
            return cast("dict[str, Any]", await self._client.info(section))
        return {}

    async def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        if self._process:
            self._process.kill()
            await self._process.wait()
            self._process = None

    def stop(self) -> None:
        """SIGSTOP: it accepts connections, and says nothing."""
        if self._process:
            self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        if self._process:
            self._process.send_signal(signal.SIGCONT)

    async def close(self) -> None:
        """Kill it, and forget it."""
        await self.kill()
        await self._client.aclose()


def free_port() -> int:
    """A port that nobody listens on, and that was not given before."""
    while True:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = int(found.getsockname()[1])
        if port < _HIGHEST_PORT and port not in _given:
            _given.add(port)
            return port


async def until(holds: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    """Look until something holds."""
    async with asyncio.timeout(_SECONDS):
        while not await holds():  # noqa: ASYNC110 - other processes are waited for
            await asyncio.sleep(0.05)
