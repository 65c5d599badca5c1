"""HTTP to the server of a model: whole answers of a bounded size, on connections that are kept."""

from dataclasses import dataclass

import aiohttp
import httpx2

from memory.bounded import LARGEST_RESPONSE_BYTES

_KEPT_SECONDS, _CONNECT_SECONDS = 5.0, 5.0
_NONE_OF_ITS_OWN = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered.

    Attributes:
        headers: names in lower case.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Wire:
    """Requests to one server, by aiohttp. Close it in the end.

    Args:
        url: of the server; its path is put before those of requests.
    """

    def __init__(self, url: str) -> None:
        self._url, self._session = (
            url.rstrip("/"),
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEPT_SECONDS),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=_NONE_OF_ITS_OWN,
            ),
        )

    async def post(
        self, path: str, headers: list[tuple[str, str]], body: bytes, seconds: float
    ) -> Answer:
        """The answer to a POST.

        Raises:
            httpx2.RequestError: there is none: the server is away, or broke off, or took more than
                `seconds`.
        """
        bound = aiohttp.ClientTimeout(sock_read=seconds, sock_connect=_CONNECT_SECONDS)
        try:
            async with self._session.post(
                f"{self._url}{path}",
                data=body,
                headers=headers,
                timeout=bound,
                allow_redirects=False,
            ) as response:
                told = [(name.lower(), value) for name, value in response.headers.items()]
                return Answer(response.status, told, await _whole(response))
        except aiohttp.ServerTimeoutError as error:
            raise httpx2.ReadTimeout("No answer in time.") from error
        except aiohttp.ClientConnectorError as error:
            raise httpx2.ConnectError(f"The server cannot be reached: {error}.") from error
        except aiohttp.ClientPayloadError as error:
            raise httpx2.ReadError("The connection ended before the answer did.") from error
        except aiohttp.ServerDisconnectedError as error:
            raise httpx2.ReadError("The connection ended before the answer did.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise httpx2.RemoteProtocolError("What the server answered is no HTTP.") from error

    async def aclose(self) -> None:
        """Close every connection."""
        await self._session.close()


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise httpx2.RemoteProtocolError("The answer is compressed, unasked.")
    pieces, size = list[bytes](), 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > LARGEST_RESPONSE_BYTES:
            raise httpx2.RemoteProtocolError(
                f"The answer is larger than {LARGEST_RESPONSE_BYTES} bytes."
            )
        pieces.append(piece)
    return b"".join(pieces)
