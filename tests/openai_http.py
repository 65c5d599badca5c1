"""What goes over the wire between an OpenAI client and a server: HTTP/1.1, and OpenAI's JSON in it.

By hand and only as much as tests need (keep-alive, Content-Length, chunks: RFC 9112), so that the
server can break off anywhere. Shapes follow https://platform.openai.com/docs/api-reference.
"""

import asyncio
import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import responses
from types import MappingProxyType
from typing import Any, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

LAST_CHUNK = b"0\r\n\r\n"
"""Ends a chunked answer; a client that does not get it knows that something is missing."""

STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"content-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
"""What goes before the events of a stream."""

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_json_object = msgspec.json.Decoder(dict[str, Any])


class ApiError(Exception):
    """A request that is answered with an error in OpenAI's shape."""

    def __init__(self, status: int, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def encode(self, headers: Mapping[str, str] = _NO_HEADERS) -> bytes:
        """The whole HTTP answer."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        error = {"message": str(self), "type": kind, "param": None, "code": self.code}
        return encode_response(self.status, msgspec.json.encode({"error": error}), headers)


@dataclass(frozen=True, slots=True)
class Request:
    """One request: names of headers in lower case, the path without its query."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    """The JSON object that was sent; empty when nothing was."""

    @property
    def streams(self) -> bool:
        """Whether the answer is wanted as a stream of events."""
        return bool(self.body.get("stream"))

    @property
    def messages(self) -> list[tuple[str, str]]:
        """The chat as pairs of role and text; of content in parts, the parts that are text."""
        messages = cast(list[dict[str, Any]], self.body.get("messages", []))
        return [(message["role"], _text(message.get("content"))) for message in messages]


def _text(content: str | list[dict[str, Any]] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return " ".join(part["text"] for part in content if part.get("type") == "text")


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """Read the next request of a connection; None when the client has gone.

    Raises:
        ApiError: the body is no JSON object. What follows on the connection can still be read.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head[:-4].decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
    except asyncio.IncompleteReadError:
        return None
    method, target, _ = first.split(" ")
    try:
        body = _json_object.decode(raw) if raw else {}
    except msgspec.DecodeError as error:
        raise ApiError(400, f"The body is no JSON object: {error}.") from error
    return Request(method, target.partition("?")[0], headers, body)


def encode_response(status: int, body: bytes, headers: Mapping[str, str] = _NO_HEADERS) -> bytes:
    """Put a body of known length behind its head."""
    extra = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = (
        f"HTTP/1.1 {status} {responses.get(status, 'Unknown')}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n{extra}\r\n"
    )
    return head.encode("latin-1") + body


def encode_event(data: bytes) -> bytes:
    """Put one server-sent event into one chunk."""
    return b"%x\r\ndata: %b\n\n\r\n" % (len(data) + 8, data)


class Completion:
    """The answer to a chat request, whole or as the events of a stream."""

    def __init__(
        self, request: Request, text: str, *, number: int, more: Mapping[str, Any] | None = None
    ) -> None:
        self._more = {key: value for key, value in (more or {}).items() if key != "content"}
        prompt = sum(len(text.split()) for _, text in request.messages)
        completion = len(text.split())
        self._text = text
        self._usage = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }
        options = cast(dict[str, Any], request.body.get("stream_options") or {})
        self._wants_usage = bool(options.get("include_usage"))
        self._envelope = {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion.chunk" if request.streams else "chat.completion",
            "created": 0,
            "model": request.body.get("model", ""),
        }

    def whole(self) -> bytes:
        """The JSON of an answer that is not streamed."""
        message = {"role": "assistant", "content": self._text, "refusal": None, **self._more}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._end}
        return msgspec.json.encode({**self._envelope, "choices": [choice], "usage": self._usage})

    def opening(self) -> bytes:
        """The first event: it names the role and has no text yet."""
        return self._event({"role": "assistant", "content": "", "refusal": None})

    def tokens(self) -> list[bytes]:
        """The events with the text, one a word; blanks go with the word that follows them."""
        words: list[str] = re.findall(r"\s*\S+|\s+", self._text)
        reasoning = re.findall(r"\s*\S+", self._more.get("reasoning_content") or "")
        events = [self._event({"reasoning_content": word}) for word in reasoning]
        events += [self._event({"content": word}) for word in words]
        if refusal := self._more.get("refusal"):
            events += [self._event({"refusal": word}) for word in re.findall(r"\s*\S+", refusal)]
        for index, call in enumerate(self._more.get("tool_calls") or ()):
            function: dict[str, Any] = call["function"]
            half = len(function["arguments"]) // 2
            opening: dict[str, Any] = {
                **call,
                "index": index,
                "function": {**function, "arguments": ""},
            }
            pieces = (function["arguments"][:half], function["arguments"][half:])
            rest: list[Any]
            rest = [{"index": index, "function": {"arguments": piece}} for piece in pieces]
            events += [self._event({"tool_calls": [part]}) for part in (opening, *rest)]
        return events

    def closing(self) -> bytes:
        """The events after the text: finish_reason, usage where it was asked for, and [DONE]."""
        events = [self._event({}, finish_reason=self._end)]
        if self._wants_usage:
            usage = {**self._envelope, "choices": (), "usage": self._usage}
            events.append(encode_event(msgspec.json.encode(usage)))
        return b"".join([*events, encode_event(b"[DONE]")])

    @property
    def _end(self) -> str:
        return "tool_calls" if self._more.get("tool_calls") else "stop"

    def _event(self, delta: Mapping[str, Any], *, finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return encode_event(msgspec.json.encode({**self._envelope, "choices": [choice]}))


def embeddings(request: Request, *, dimensions: int) -> bytes:
    """Make the JSON of an answer with embeddings, as floats or as base64 of little-endian float32.

    Raises:
        ApiError: the input is neither a text nor a list of texts (lists of tokens are not read).
    """
    given = request.body.get("input")
    texts = cast(list[object], given if isinstance(given, list) else [given])
    if not texts or not all(isinstance(text, str) for text in texts):
        raise ApiError(
            400, "'input' must be one or more strings: set check_embedding_ctx_length=False."
        )
    texts = cast(list[str], texts)
    vectors = embed(texts, dimensions=request.body.get("dimensions") or dimensions)
    in_base64 = request.body.get("encoding_format") == "base64"
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(vector.tobytes()).decode()
            if in_base64
            else vector.tolist(),
        }
        for index, vector in enumerate(vectors)
    ]
    words = sum(len(text.split()) for text in texts)
    usage = {"prompt_tokens": words, "total_tokens": words}
    model = request.body.get("model", "")
    return msgspec.json.encode({"object": "list", "data": data, "model": model, "usage": usage})


def embed(texts: Sequence[str], *, dimensions: int) -> NDArray[np.float32]:
    """Embed texts as sums of one random but fixed vector per word: shared words, near vectors.

    Returns:
        (n, dimensions) little-endian float32, unit length.
    """
    vectors = np.empty((len(texts), dimensions), dtype="<f4")
    for row, text in enumerate(texts):
        words = re.findall(r"\w+", text.lower()) or [""]
        noise = b"".join(hashlib.shake_128(word.encode()).digest(dimensions) for word in words)
        total = (np.frombuffer(noise, np.uint8).reshape(-1, dimensions) - 127.5).sum(axis=0)
        vectors[row] = total / np.linalg.norm(total)
    return vectors
