"""Bounds on what a provider may send: no compression that swells, no answer without an end."""

from collections.abc import AsyncIterator
from typing import Any

import httpx

LARGEST_RESPONSE_BYTES = 32 << 20
"""256 vectors of 3,072 numbers are some 16 MB when written out."""


def bounded_hooks() -> dict[str, list[Any]]:
    """`event_hooks` for a client of httpx.

    What is compressed is refused, as it was not asked for; of what is not, `LARGEST_RESPONSE_BYTES`
    are read. Both raise `httpx.RemoteProtocolError`, which clients take for a failed connection.
    """
    return {"request": [_ask_for_plain], "response": [_bound]}


async def _ask_for_plain(request: httpx.Request) -> None:
    request.headers["accept-encoding"] = "identity"


async def _bound(response: httpx.Response) -> None:
    encoding = response.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise httpx.RemoteProtocolError(f"The answer is compressed, unasked: {encoding!r}.")
    if isinstance(response.stream, httpx.AsyncByteStream):
        response.stream = _Bounded(response.stream)


class _Bounded(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = LARGEST_RESPONSE_BYTES
        async for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                raise httpx.RemoteProtocolError(
                    f"The answer is larger than {LARGEST_RESPONSE_BYTES} bytes."
                )
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
