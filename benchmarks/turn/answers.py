"""The answers of the model server, encoded in advance."""

import base64
import hashlib
from typing import Any

import msgspec
import numpy as np

from onionskin.benchmarks.turn.histories import replies, sentence, sentences

_DISTINCT, _SUMMARY_SENTENCES, _STREAMED_WORDS = 500, 12, 8
_DIMENSIONS, _WORDS_KNOWN = 1536, 4096
_ENVELOPE = {"id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": "bench"}
_USAGE = {"prompt_tokens": 400, "completion_tokens": 20, "total_tokens": 420}


class Answers:
    """Complete HTTP responses: replies and extractions in rotation, a summary, embeddings."""

    def __init__(self) -> None:
        texts = replies(_DISTINCT, seed=2)
        self._replies = [_completion(text) for text in texts]
        self._streams = [_stream(text) for text in texts]
        self.summary = _completion(" ".join(sentences(_SUMMARY_SENTENCES, seed=3)))
        self._extractions = [_completion(_extraction(number)) for number in range(_DISTINCT)]
        noise = np.random.default_rng(4).standard_normal((_WORDS_KNOWN, _DIMENSIONS))
        self._words = noise.astype(np.float32)

    def reply(self, number: int) -> bytes:
        """The answer to a chat message."""
        return self._replies[number % _DISTINCT]

    def stream(self, number: int) -> bytes:
        """The answer to a chat message, as a stream of events."""
        return self._streams[number % _DISTINCT]

    def extraction(self, number: int) -> bytes:
        """The answer to a request for JSON: an object with one memory."""
        return self._extractions[number % _DISTINCT]

    def embeddings(self, body: bytes) -> bytes:
        """A vector for each text of a request; texts with common words have similar vectors."""
        request: dict[str, Any] = msgspec.json.decode(body)
        texts: list[str] = request["input"]
        in_base64 = request.get("encoding_format") == "base64"
        dimensions = request.get("dimensions") or _DIMENSIONS
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": base64.b64encode(vector.tobytes()).decode()
                if in_base64
                else vector.tolist(),
            }
            for index, vector in enumerate(self._vector(text)[:dimensions] for text in texts)
        ]
        usage = {"prompt_tokens": 20, "total_tokens": 20}
        answer = {"object": "list", "data": data, "model": "bench", "usage": usage}
        return response(msgspec.json.encode(answer))

    def _vector(self, text: str) -> np.ndarray[Any, np.dtype[np.float32]]:
        rows = [_row(word) for word in text.lower().split()] or [0]
        total = self._words[rows].sum(axis=0)
        return total / np.linalg.norm(total)


def response(body: bytes) -> bytes:
    """An HTTP response with this body."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


def _row(word: str) -> int:
    return int.from_bytes(hashlib.blake2s(word.encode(), digest_size=4).digest()) % _WORDS_KNOWN


def _completion(text: str) -> bytes:
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return response(msgspec.json.encode({**_ENVELOPE, "choices": [choice], "usage": _USAGE}))


def _extraction(number: int) -> str:
    memory = {"id": "0", "text": sentence(number), "event": "ADD"}
    return msgspec.json.encode({"facts": [memory["text"]], "memory": [memory]}).decode()


def _stream(text: str) -> bytes:
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
        b"transfer-encoding: chunked\r\n\r\n"
    )
    words = [f"{word} " for word in text.split()[:_STREAMED_WORDS]]
    deltas: list[dict[str, str]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word} for word in words]
    events = [_event({"index": 0, "delta": delta, "finish_reason": None}) for delta in deltas]
    events.append(_event({"index": 0, "delta": {}, "finish_reason": "stop"}))
    usage = {**_ENVELOPE, "object": "chat.completion.chunk", "choices": (), "usage": _USAGE}
    events += [_chunk(msgspec.json.encode(usage)), _chunk(b"[DONE]")]
    return b"".join([head, *events, b"0\r\n\r\n"])


def _event(choice: dict[str, Any]) -> bytes:
    event = {**_ENVELOPE, "object": "chat.completion.chunk", "choices": [choice]}
    return _chunk(msgspec.json.encode(event))


def _chunk(data: bytes) -> bytes:
    return b"%x\r\ndata: %b\n\n\r\n" % (len(data) + 8, data)
