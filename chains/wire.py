"""HTTP/1.1 to the server of a model: one request at a time on a connection, answers read whole."""

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import SplitResult, urlsplit

import httptools
import httpx2

from memory.bounded import LARGEST_RESPONSE_BYTES

_MOST_IDLE, _IDLE_SECONDS, _CONNECT_SECONDS = 100, 5.0, 5.0
_TELLS_LENGTH = {"content-length", "transfer-encoding"}


@dataclass(slots=True)
class Answer:
    """What a server answered.

    Attributes:
        headers: names in lower case.
    """

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    body: bytes = b""


class Wire:
    """Requests to one server; connections stay open for a few seconds.

    Args:
        url: of the server; its path is put before those of requests.
        tls: how servers of `https` are recognised.
    """

    def __init__(self, url: str, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port or (443 if secure else 80)
        self._path, self._authority = parts.path.rstrip("/"), _authority(parts)
        self._tls = (tls or ssl.create_default_context()) if secure else None
        self._idle: list[_Connection] = []

    async def post(
        self, path: str, headers: list[tuple[str, str]], body: bytes, seconds: float
    ) -> Answer:
        """The answer to a POST.

        Raises:
            httpx2.RequestError: there is none: the server is away, or broke off, or took more than
                `seconds`.
        """
        connection = self._kept() or await self._opened()
        lines = [f"POST {self._path}{path} HTTP/1.1", f"host: {self._authority}"]
        lines += [f"{name}: {value}" for name, value in headers]
        head = "\r\n".join([*lines, f"content-length: {len(body)}", "", ""])
        try:
            answer = await connection.ask(head.encode() + body, seconds)
        except BaseException:
            connection.close()
            raise
        if connection.is_open and len(self._idle) < _MOST_IDLE:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    async def aclose(self) -> None:
        """Close every connection."""
        while self._idle:
            self._idle.pop().close()
        await asyncio.sleep(0)  # for their sockets to be closed

    def _kept(self) -> "_Connection | None":
        """The connection that was used last, if it is not too old; older ones are closed."""
        stale = asyncio.get_running_loop().time() - _IDLE_SECONDS
        while self._idle and (not self._idle[0].is_open or self._idle[0].idle_since < stale):
            self._idle.pop(0).close()
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return None

    async def _opened(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, connection = await loop.create_connection(
                    _Connection, self._host, self._port, ssl=self._tls
                )
        except TimeoutError as error:
            raise httpx2.ConnectTimeout("The server cannot be reached in time.") from error
        except OSError as error:
            raise httpx2.ConnectError(f"The server cannot be reached: {error}.") from error
        return connection


class _Connection(asyncio.Protocol):
    """A connection, and the answer that is coming on it; httptools tells what comes."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer, self._pieces, self._size = Answer(), list[bytes](), 0
        self._coming: asyncio.Future[Answer] | None = None
        self.is_open, self.idle_since = True, 0.0

    async def ask(self, request: bytes, seconds: float) -> Answer:
        """Send a request as it stands, and wait for its answer."""
        loop = asyncio.get_running_loop()
        self._answer, self._pieces, self._size = Answer(), [], 0
        self._coming = loop.create_future()
        timer = loop.call_later(seconds, self._fail, httpx2.ReadTimeout("No answer in time."))
        try:
            if self._transport:
                self._transport.write(request)
            return await self._coming
        finally:
            timer.cancel()
            self._coming = None

    def close(self) -> None:
        """End it."""
        self.is_open = False
        if self._transport:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read on; what nobody asked for ends the connection."""
        if self._coming is None:
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(httpx2.RemoteProtocolError("What the server answered is no HTTP."))

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits learns of it; an answer that does not tell its length is whole now."""
        self.is_open = False
        told = _TELLS_LENGTH & {name for name, _ in self._answer.headers}
        if self._answer.status and not told and exc is None:
            self.on_message_complete()
        self._fail(httpx2.ReadError("The connection ended before the answer did."))

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        self._answer.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """The headers are there; those of an interim answer count for nothing."""
        self._answer.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._size += len(body)
        if self._size > LARGEST_RESPONSE_BYTES:
            told = f"The answer is larger than {LARGEST_RESPONSE_BYTES} bytes."
            self._fail(httpx2.RemoteProtocolError(told))
            self.close()
        else:
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        answer = self._answer
        if answer.status < 200:  # noqa: PLR2004
            self._answer = Answer()
            return
        answer.body = b"".join(self._pieces)
        if dict(answer.headers).get("content-encoding", "identity") != "identity":
            self._fail(httpx2.RemoteProtocolError("The answer is compressed, unasked."))
        elif self._coming and not self._coming.done():
            self.is_open = self.is_open and self._parser.should_keep_alive()
            self._coming.set_result(answer)

    def _fail(self, error: Exception) -> None:
        self.is_open = False
        if self._coming and not self._coming.done():
            self._coming.set_exception(error)


def _authority(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]
