"""Limits on provider responses for httpx clients: no compression, bounded size."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, TypeAlias, cast

import httpx
import httpx2

LARGEST_RESPONSE_BYTES = 32 << 20
"""As text, 256 vectors of 3,072 numbers take about 16 MB."""


class ResponseLimitError(httpx.RemoteProtocolError, httpx2.RemoteProtocolError):  # pyright: ignore[reportIncompatibleMethodOverride, reportIncompatibleVariableOverride]
    """A response is compressed or larger than `LARGEST_RESPONSE_BYTES`."""


def response_limit_hooks() -> dict[str, list[Any]]:
    """The `event_hooks` for an httpx or httpx2 client (OpenAI's SDK uses the latter).

    Compressed responses are rejected; other ones are read up to `LARGEST_RESPONSE_BYTES`. Both
    raise `UnboundedError`, which clients handle as a connection error.
    """
    return {"request": [_request_identity], "response": [_limit_response]}


async def _request_identity(request: httpx.Request | httpx2.Request) -> None:
    request.headers["accept-encoding"] = "identity"


async def _limit_response(response: Any) -> None:
    encoding = response.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise ResponseLimitError(
            f"The response is compressed although not requested: {encoding!r}."
        )
    if isinstance(response.stream, _STREAMS):
        response.stream = _BoundedStream(response.stream)


_Stream: TypeAlias = httpx.AsyncByteStream | httpx2.AsyncByteStream
_STREAMS = (httpx.AsyncByteStream, httpx2.AsyncByteStream)


class _BoundedStream(httpx.AsyncByteStream, httpx2.AsyncByteStream):
    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = LARGEST_RESPONSE_BYTES
        async with aclosing(cast("AsyncGenerator[bytes]", aiter(self._stream))) as chunks:
            async for chunk in chunks:
                left -= len(chunk)
                if left < 0:
                    raise ResponseLimitError(
                        f"The response is larger than {LARGEST_RESPONSE_BYTES} bytes."
                    )
                yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
