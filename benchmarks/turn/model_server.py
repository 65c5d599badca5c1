"""The model of all sides: a server of the OpenAI protocol that does next to no work.

    python -m onionskin.benchmarks.turn.model_server

Prints its address and serves until SIGTERM. `/<side>/v1` is the base URL of one side, whose calls
are counted separately. `POST /<side>` with a `ModelBehaviour` sets how the side is answered, and
resets its counts; `GET /<side>` returns its `ModelCounts`.
"""

import asyncio
import re
import signal
from collections import defaultdict
from collections.abc import Callable
from typing import cast

import msgspec
import uvloop

from onionskin.benchmarks.turn.answers import Answers, response
from onionskin.benchmarks.turn.prompts import MARK, read_prompts

_MARK = re.compile(MARK.pattern.encode())
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_SUMMARY = (b"summary of a conversation", b"Progressively summarize")
_INSTRUCTIONS = 2000  # bytes at the start of a request with the system message


class ModelBehaviour(msgspec.Struct, frozen=True):
    """How the model answers a side.

    Attributes:
        chat_ms: Latency of an answer.
        embed_ms: Latency of an embedding.
        keep: Whether prompts are stored and measured.
    """

    chat_ms: float = 0.0
    embed_ms: float = 0.0
    keep: bool = False


class ModelCounts(msgspec.Struct):
    """Calls of a side since the last reset."""

    chats: int = 0
    embeddings: int = 0
    awaited_embeddings: int = 0  # embeddings of messages, for which turns wait
    tokens: list[int] = []
    cacheable: list[float] = []


class _Side:
    def __init__(self) -> None:
        self.behaviour, self.counts = ModelBehaviour(), ModelCounts()
        self.prompts: list[bytes] = []

    def set(self, body: bytes) -> bytes:
        self.behaviour, self.counts = msgspec.json.decode(body, type=ModelBehaviour), ModelCounts()
        self.prompts.clear()
        return response(b"{}")

    def report(self) -> bytes:
        sizes = read_prompts(self.prompts)
        self.counts.tokens, self.counts.cacheable = sizes.tokens, sizes.cacheable
        return response(msgspec.json.encode(self.counts))


class _Model:
    def __init__(self) -> None:
        self._answers = Answers()
        self._sides: dict[bytes, _Side] = defaultdict(_Side)

    def answer(self, method: bytes, path: bytes, body: bytes) -> tuple[bytes, float]:
        """The response, and its delay in seconds."""
        _, name, *rest = path.split(b"/")
        side = self._sides[name]
        if rest == [b"v1", b"chat", b"completions"]:
            return self._chat(side, body), side.behaviour.chat_ms / 1e3
        if rest == [b"v1", b"embeddings"]:
            side.counts.embeddings += 1
            side.counts.awaited_embeddings += _MARK.search(body) is not None
            return self._answers.embeddings(body), side.behaviour.embed_ms / 1e3
        return (side.set(body) if method == b"POST" else side.report()), 0.0

    def _chat(self, side: _Side, body: bytes) -> bytes:
        side.counts.chats += 1
        number = side.counts.chats
        if side.behaviour.keep:
            side.prompts.append(body)
        if b'"json_object"' in body:
            return self._answers.extraction(number)
        if b'"stream":true' in body:
            return self._answers.stream(number)
        if any(text in body[:_INSTRUCTIONS] for text in _SUMMARY):
            return self._answers.summary
        return self._answers.reply(number)


class _Connection(asyncio.Protocol):
    """The part of HTTP/1.1 with keep-alive that OpenAI's clients use."""

    def __init__(self, answer: Callable[[bytes, bytes, bytes], tuple[bytes, float]]) -> None:
        self._answer, self._read = answer, b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer a complete request."""
        self._read += data
        end = self._read.find(_HEAD_END)
        if end < 0:
            return
        head = self._read[:end].lower()
        at = head.find(_LENGTH)
        length = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        length_with_head = end + len(_HEAD_END) + length
        if len(self._read) < length_with_head:
            return
        method, path, _ = self._read[:end].split(b"\r\n", 1)[0].split(b" ")
        body, self._read = (
            self._read[end + len(_HEAD_END) : length_with_head],
            self._read[length_with_head:],
        )
        answer, delay = self._answer(method, path, body)
        if delay:
            asyncio.get_running_loop().call_later(delay, self._write, answer)
        else:
            self._write(answer)

    def _write(self, answer: bytes) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.write(answer)


async def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    model = _Model()
    server = await loop.create_server(lambda: _Connection(model.answer), "127.0.0.1", 0)
    async with server:
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await stop.wait()


if __name__ == "__main__":
    uvloop.run(main())
