"""A server that speaks the OpenAI protocol, with faults on demand, for the real clients to meet.

In a test: `async with OpenAIServer() as server: ...`. As a process of its own, printing its base
URL and serving until SIGTERM: `python -m tests.openai_server --port 0 --latency-ms 20`.
"""

import argparse
import asyncio
import itertools
import re
import signal
from collections import deque
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Self

from tests.openai_faults import Fault
from tests.openai_http import (
    LAST_CHUNK,
    STREAM_HEAD,
    ApiError,
    Completion,
    Request,
    embeddings,
    encode_response,
    read_request,
)

__all__ = ["Fault", "OpenAIServer", "Request"]

_MODELS = (
    b'{"object":"list","data":'
    b'[{"id":"test-model","object":"model","created":0,"owned_by":"onionskin"}]}'
)


_NO_FAULT = Fault()


_TAG_LINE = re.compile(r"^</?\w+>\n?", re.MULTILINE)


def _echo(request: Request) -> str:
    said = [text for role, text in request.messages if role == "user"]
    if said and "<new_lines>" in said[-1]:  # for a summary, which may not repeat the prompt's tags
        return "Summary: " + _TAG_LINE.sub("", said[-1]).strip()
    return f"You said: {said[-1] if said else ''}"


class OpenAIServer:
    """Chat completions, embeddings and models on 127.0.0.1, inside `async with`.

    Args:
        port: 0 takes a free one.
        dimensions: of embeddings, where the request does not say.
        keep_requests: off for long benchmarks, which would fill the memory.

    Leaving it cuts every connection. What went wrong in serving one, other than a client that went
    away, is raised then as a group: the server or the test's `reply` has a defect.
    """

    def __init__(self, *, port: int = 0, dimensions: int = 64, keep_requests: bool = True) -> None:
        self.base_url = ""  # known once the server listens
        self.requests: list[Request] = []  # in order of arrival
        self.reply: Callable[[Request], str] = _echo  # the text of a chat answer
        self.answers: deque[Mapping[str, Any]] = deque()  # messages that precede it, once each
        self.fault: Fault | None = None  # for every request that it concerns, until reset
        self.faults: deque[Fault] = deque()  # each request uses up the first that concerns it
        self._port = port
        self._dimensions = dimensions
        self._keep_requests = keep_requests
        self._numbers = itertools.count(1)
        self._listener: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._failures: list[BaseException] = []

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        port = self._listener.sockets[0].getsockname()[1]
        self.base_url = f"http://127.0.0.1:{port}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._listener is None:
            return
        self._listener.close()
        for task, writer in self._connections.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._listener.wait_closed()
        if self._failures:
            raise BaseExceptionGroup("connections that could not be served", self._failures)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._listener is not None and not self._listener.is_serving():
            writer.transport.abort()
            return
        task = asyncio.create_task(self._converse(reader, writer))
        self._connections[task] = writer
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._connections[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failures.append(error)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._serve(reader, writer):
                await writer.drain()
            writer.close()
            await writer.wait_closed()
        except ConnectionError:
            pass  # The client went away: there is nobody left to answer.
        finally:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; returns whether the connection stays open for another."""
        try:
            request = await read_request(reader)
            if request is None:
                return False
            if self._keep_requests:
                self.requests.append(request)
            fault = self._take_fault(request)
            if fault.delay:
                await asyncio.sleep(fault.delay.total_seconds())
            while fault.until and not fault.until.is_set():  # noqa: ASYNC110 - set by a thread
                await asyncio.sleep(0.005)
            if fault.hang:
                await reader.read()  # returns when the client has given up
            if fault.hang or fault.refuse:
                return False
            return await self._answer(request, fault, writer)
        except ApiError as error:
            writer.write(error.encode())
            return True

    def _take_fault(self, request: Request) -> Fault:
        for index, fault in enumerate(self.faults):
            if fault.concerns(request):
                del self.faults[index]
                return fault
        if self.fault is not None and self.fault.concerns(request):
            return self.fault
        return _NO_FAULT

    async def _answer(self, request: Request, fault: Fault, writer: asyncio.StreamWriter) -> bool:
        if fault.status is not None:
            wait = fault.retry_after
            headers = {} if wait is None else {"retry-after": f"{wait.total_seconds():g}"}
            writer.write(ApiError(fault.status, "A fault on demand.").encode(headers))
            return True
        if fault.body is not None:
            headers = {} if fault.encoding is None else {"content-encoding": fault.encoding}
            writer.write(encode_response(200, fault.body, headers))
            return True
        match request.method, request.path:
            case "POST", "/v1/chat/completions":
                scripted = self.answers.popleft() if self.answers else None
                text = self.reply(request) if scripted is None else scripted.get("content") or ""
                completion = Completion(request, text, number=next(self._numbers), more=scripted)
                if request.streams:
                    return await self._stream(completion, fault, writer)
                payload = completion.whole()
            case "POST", "/v1/embeddings":
                payload = embeddings(request, dimensions=self._dimensions)
            case "GET", "/v1/models":
                payload = _MODELS
            case method, path:
                raise ApiError(404, f"Unknown request URL: {method} {path}.", code="unknown_url")
        writer.write(encode_response(200, payload))
        return True

    async def _stream(
        self, completion: Completion, fault: Fault, writer: asyncio.StreamWriter
    ) -> bool:
        pause = fault.token_delay.total_seconds()
        tokens = completion.tokens()[: fault.cut_after_tokens][: fault.end_after_tokens]
        pending = [STREAM_HEAD, completion.opening()]  # without pauses, all goes in one write
        for index, token in enumerate(tokens):
            if pause and index:
                writer.write(b"".join(pending))
                await writer.drain()
                await asyncio.sleep(pause)
                pending = []
            pending.append(token)
        if fault.end_after_tokens is None and fault.cut_after_tokens is None:
            pending.append(completion.closing())
        if fault.cut_after_tokens is None:
            pending.append(LAST_CHUNK)
        writer.write(b"".join(pending))
        return fault.cut_after_tokens is None


def _brief(request: Request) -> str:
    """An answer of a dozen words however long the prompt is, for benchmarks."""
    return f"You said: {' '.join(request.messages[-1][1].split()[-12:])}"


async def main() -> None:
    """Serve as a process of its own, until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="before every answer")
    arguments = parser.parse_args()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with OpenAIServer(port=arguments.port, keep_requests=False) as server:
        server.fault = Fault(delay=timedelta(milliseconds=arguments.latency_ms))
        server.reply = _brief
        print(server.base_url, flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main())
