"""Bounds on what a provider may send: no compression that swells, no answer without an end."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, TypeAlias, cast

import httpx
import httpx2

LARGEST_RESPONSE_BYTES = 32 << 20
"""256 vectors of 3,072 numbers are some 16 MB when written out."""


class ResponseLimitError(httpx.RemoteProtocolError, httpx2.RemoteProtocolError):  # pyright: ignore[reportIncompatibleMethodOverride, reportIncompatibleVariableOverride]
    """An answer that swells, or does not end."""


def response_limit_hooks() -> dict[str, list[Any]]:
    """`event_hooks` for a client of httpx, or of httpx2, which openai's is.

    What is compressed is refused, as it was not asked for; of what is not, `LARGEST_RESPONSE_BYTES`
    are read. Both raise `UnboundedError`, which clients take for a failed connection.
    """
    return {"request": [_ask_for_plain], "response": [_bound]}


async def _ask_for_plain(request: httpx.Request | httpx2.Request) -> None:
    request.headers["accept-encoding"] = "identity"


async def _bound(response: Any) -> None:
    encoding = response.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise ResponseLimitError(f"The answer is compressed, unasked: {encoding!r}.")
    if isinstance(response.stream, _STREAMS):
        response.stream = _Bounded(response.stream)


_Stream: TypeAlias = httpx.AsyncByteStream | httpx2.AsyncByteStream
_STREAMS = (httpx.AsyncByteStream, httpx2.AsyncByteStream)


class _Bounded(httpx.AsyncByteStream, httpx2.AsyncByteStream):
    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = LARGEST_RESPONSE_BYTES
        async with aclosing(cast("AsyncGenerator[bytes]", aiter(self._stream))) as chunks:
            async for chunk in chunks:
                left -= len(chunk)
                if left < 0:
                    told = f"The answer is larger than {LARGEST_RESPONSE_BYTES} bytes."
                    raise ResponseLimitError(told)
                yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
