"""A small HTTP client on one connection, that can hang up at any moment."""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

_CHUNK = 1 << 16
_IDLE_SECONDS = 2.0  # uvicorn closes a connection on which nothing was asked for five
_LOST = (OSError, asyncio.IncompleteReadError, TimeoutError)


class LostError(Exception):
    """No whole answer came: the connection was cut, refused, or silent for too long."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The stable code of a problem, empty for what is none."""
        return "" if self.status < 400 else str(self.json.get("code", ""))


class Line:
    """A client of one service, by a connection that is made when it is needed.

    Args:
        url: the service's.
        timeout: seconds that an answer may take.
    """

    def __init__(self, url: str, *, timeout: float = 60.0) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._timeout, self._used = timeout, 0.0
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.hang_up()

    def hang_up(self) -> None:
        """Drop the connection at once; the next request makes a new one."""
        if self._streams:
            self._streams[1].transport.abort()
            self._streams = None

    async def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Send a request and read the whole answer.

        Raises:
            LostError: there is none.
        """
        try:
            async with asyncio.timeout(self._timeout):
                await self.send(method, path, body, headers)
                return await self._read()
        except _LOST as error:
            self.hang_up()
            raise LostError(type(error).__name__) from error
        except BaseException:
            self.hang_up()
            raise

    async def send(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> None:
        """Send a request; its answer is left on the line."""
        content = b"" if body is None else json.dumps(body).encode()
        lines = {"host": self._host, "content-length": str(len(content))} | (headers or {})
        if body is not None:
            lines["content-type"] = "application/json"
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        if time.monotonic() - self._used > _IDLE_SECONDS:
            self.hang_up()
        self._used = time.monotonic()
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port, limit=1 << 20)
        self._streams[1].write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content)

    async def piece(self) -> bytes:
        """Whatever comes next on the line; empty at its end."""
        return await self._streams[0].read(_CHUNK) if self._streams else b""

    async def _read(self) -> Answer:
        assert self._streams
        reader = self._streams[0]
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split(" ")[1])
        pairs = (line.partition(":") for line in head[1:] if line)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        if "content-length" in headers:
            body = await reader.readexactly(int(headers["content-length"]))
        else:
            body = await _chunks(reader)
        if headers.get("connection") == "close":
            self.hang_up()
        return Answer(status, headers, body)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    whole: list[bytes] = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        whole.append((await reader.readexactly(size + 2))[:-2])
    await reader.readline()
    return b"".join(whole)
