"""A TCP proxy before Redis that simulates network faults."""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

_CHUNK = 1 << 16


class Proxy:
    """Hands bytes on between clients and a Redis on a unix socket.

    Attributes:
        url: where it listens.
        latency: seconds that each piece waits, in both directions.
        silent: accepts connections and keeps them, and hands nothing on: half-open sockets.
        cuts: the share of requests that are cut in the middle, and of answers.
        loses: the share of answers to `command` that are lost after Redis has done it.
        harmed: how many connections were cut.
    """

    def __init__(self, socket: Path) -> None:
        self.url, self._socket = "", socket
        self._port: int = 0
        self.latency, self.cuts, self.loses, self.command = 0.0, 0.0, 0.0, b""
        self.harmed = 0
        self._speaks = asyncio.Event()
        self._speaks.set()
        self._server: asyncio.Server | None = None
        self._handlers: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        """Be reachable, always on the same port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        self.url = f"redis://127.0.0.1:{self._port}"

    async def vanish(self) -> None:
        """Be unreachable: connections are cut, new ones refused."""
        if self._server:
            self._server.close()
        for handler in tuple(self._handlers):
            handler.cancel()
        if self._handlers:
            await asyncio.wait(self._handlers)

    @property
    def silent(self) -> bool:
        return not self._speaks.is_set()

    @silent.setter
    def silent(self, value: bool) -> None:
        (self._speaks.clear if value else self._speaks.set)()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.create_task(self._serve(reader, writer))
        self._handlers.add(handler)
        handler.add_done_callback(self._handlers.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, up = await asyncio.open_unix_connection(self._socket)
        losing = asyncio.Event()
        ways = [
            asyncio.create_task(self._requests(reader, up, losing)),
            asyncio.create_task(self._answers(answers, writer, losing)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)
            writer.transport.abort()
            up.close()

    async def _requests(
        self, reader: asyncio.StreamReader, up: asyncio.StreamWriter, losing: asyncio.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                if self.command and self.command in chunk and random.random() < self.loses:
                    losing.set()
                await self._pass(chunk, up)

    async def _answers(
        self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter, losing: asyncio.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await answers.read(_CHUNK):
                if losing.is_set():
                    self.harmed += 1
                    return
                await self._pass(chunk, writer)

    async def _pass(self, chunk: bytes, writer: asyncio.StreamWriter) -> None:
        await self._speaks.wait()
        if self.latency:
            await asyncio.sleep(self.latency * random.uniform(0.5, 1.5))
        if random.random() < self.cuts:
            self.harmed += 1
            writer.write(chunk[: random.randrange(len(chunk))])
            await writer.drain()
            raise ConnectionResetError
        writer.write(chunk)
        await writer.drain()


@asynccontextmanager
async def proxying(socket: Path) -> AsyncGenerator[Proxy]:
    """A proxy for as long as the block lasts."""
    proxy = Proxy(socket)
    await proxy.listen()
    try:
        yield proxy
    finally:
        proxy.silent = False
        await proxy.vanish()
