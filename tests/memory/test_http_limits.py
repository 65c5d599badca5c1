"""Responses of a provider are limited, whichever HTTP library its client uses."""

import asyncio
import gzip
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
import pytest

from onionskin.memory.http_limits import (
    LARGEST_RESPONSE_BYTES,
    ResponseLimitError,
    response_limit_hooks,
)

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n%b\r\n"
_CLIENTS: list[Any] = [httpx.AsyncClient, httpx2.AsyncClient]


@asynccontextmanager
async def _answering(body: bytes, headers: bytes = b"") -> AsyncGenerator[str]:
    async def give(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        assert b"accept-encoding: identity" in asked.lower()
        writer.write(_HEAD % (len(body), headers) + body)
        try:
            await writer.drain()
        except ConnectionError:
            pass  # the client has had enough
        finally:
            writer.close()

    async with await asyncio.start_server(give, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("client", _CLIENTS)
async def test_an_answer_of_a_bearable_size_is_read(client: Any) -> None:
    async with _answering(b"fine") as url, client(event_hooks=response_limit_hooks()) as asking:
        assert (await asking.get(url)).content == b"fine"


@pytest.mark.parametrize("client", _CLIENTS)
async def test_an_endless_answer_is_not_read_to_its_end(client: Any) -> None:
    async with (
        _answering(bytes(LARGEST_RESPONSE_BYTES + 1)) as url,
        client(event_hooks=response_limit_hooks(), timeout=60) as asking,
    ):
        with pytest.raises(ResponseLimitError, match="larger than"):
            await asking.get(url)


@pytest.mark.parametrize("client", _CLIENTS)
async def test_a_compressed_answer_is_refused(client: Any) -> None:
    body = gzip.compress(bytes(1 << 20))
    async with (
        _answering(body, b"content-encoding: gzip\r\n") as url,
        client(event_hooks=response_limit_hooks()) as asking,
    ):
        with pytest.raises(ResponseLimitError, match="compressed"):
            await asking.get(url)
