"""A relay in front of a Redis that loses answers, as a network does."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

_CHUNK = 1 << 16


class Relay:
    """Hands bytes on between clients and a Redis on a unix socket.

    Attributes:
        lost: how many answers were lost.
    """

    def __init__(self, socket: Path, upstream: str) -> None:
        self.url = f"unix://{socket}"
        self.lost = 0
        self.handlers: set[asyncio.Task[None]] = set()
        self._upstream = upstream.removeprefix("unix://")
        self._lose_next = b""

    def lose_the_answer_to(self, command: bytes) -> None:
        """Hang up instead of handing on the next answer to `command`; Redis has done it then."""
        self._lose_next = command

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        handler = asyncio.create_task(self._serve(reader, writer))
        self.handlers.add(handler)
        handler.add_done_callback(self.handlers.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, up = await asyncio.open_unix_connection(self._upstream)
        losing = False

        async def ask() -> None:
            nonlocal losing
            while chunk := await reader.read(_CHUNK):
                if self._lose_next and self._lose_next in chunk:
                    losing, self._lose_next = True, b""
                up.write(chunk)

        asking = asyncio.create_task(ask())
        try:
            while chunk := await answers.read(_CHUNK):
                if losing:
                    self.lost += 1
                    break
                writer.write(chunk)
        finally:
            asking.cancel()
            await asyncio.wait((asking,))
            writer.close()
            up.close()


@asynccontextmanager
async def relaying(socket: Path, upstream: str) -> AsyncGenerator[Relay]:
    """A relay on `socket` for as long as the block lasts."""
    relay = Relay(socket, upstream)
    server = await asyncio.start_unix_server(relay.accept, socket)
    try:
        yield relay
    finally:
        server.close()
        for handler in tuple(relay.handlers):
            handler.cancel()
        if relay.handlers:
            await asyncio.wait(relay.handlers)
