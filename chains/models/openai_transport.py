"""HTTP to an OpenAI-compatible server with little overhead, and the SDK's client behind it."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import aiohttp
import httpx2
import openai

from onionskin.memory.http_limits import LARGEST_RESPONSE_BYTES

_KEEPALIVE_SECONDS, _CONNECT_SECONDS = 5.0, 5.0
_OMITTED_HEADERS = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


@dataclass(frozen=True, slots=True)
class TransportResponse:
    """A server's response.

    Attributes:
        headers: Names in lower case, and values.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Transport:
    """HTTP requests to one server through aiohttp, with keep-alive. The owner closes it.

    Args:
        url: The server's URL, whose path precedes the paths of requests.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_SECONDS),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_OMITTED_HEADERS,
        )

    async def post(
        self, path: str, headers: list[tuple[str, str]], body: bytes, seconds: float
    ) -> TransportResponse:
        """The response to a POST request.

        Raises:
            httpx2.RequestError: The server is unreachable, closed the connection early, or took
                more than `seconds`.
        """
        timeout = aiohttp.ClientTimeout(sock_read=seconds, sock_connect=_CONNECT_SECONDS)
        try:
            async with self._session.post(
                f"{self._url}{path}",
                data=body,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                fields = [(name.lower(), value) for name, value in response.headers.items()]
                return TransportResponse(response.status, fields, await _body(response))
        except aiohttp.ServerTimeoutError as error:
            raise httpx2.ReadTimeout("The server did not answer in time.") from error
        except aiohttp.ClientConnectorError as error:
            raise httpx2.ConnectError(f"The server cannot be reached: {error}.") from error
        except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError) as error:
            raise httpx2.ReadError("The connection closed before the response ended.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise httpx2.RemoteProtocolError("The server's response is not valid HTTP.") from error

    async def aclose(self) -> None:
        """Close every connection."""
        await self._session.close()


async def _body(response: aiohttp.ClientResponse) -> bytes:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise httpx2.RemoteProtocolError(
            "The response is compressed although the request forbids it."
        )
    pieces, size = list[bytes](), 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > LARGEST_RESPONSE_BYTES:
            raise httpx2.RemoteProtocolError(
                f"The response is larger than {LARGEST_RESPONSE_BYTES} bytes."
            )
        pieces.append(piece)
    return b"".join(pieces)


FIRST_ATTEMPT: ContextVar[TransportResponse | httpx2.RequestError | None] = ContextVar(
    "first_attempt", default=None
)
"""The result of the first attempt, which the SDK handles in place of one of its own."""


class FirstAttemptClient(openai.DefaultAsyncHttpxClient):
    """The SDK's HTTP client, which returns the result of a first attempt as that of its own."""

    async def send(self, request: httpx2.Request, **kwargs: Any) -> httpx2.Response:
        """The response to a request."""
        attempt = FIRST_ATTEMPT.get()
        FIRST_ATTEMPT.set(None)
        if isinstance(attempt, TransportResponse):
            response = httpx2.Response(
                attempt.status, headers=attempt.headers, content=attempt.body
            )
            response.request = request
            return response
        if attempt is not None:
            attempt.request = request
            raise attempt
        return await super().send(request, **kwargs)
