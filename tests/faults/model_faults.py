"""Faults of a chat model and of an embedder."""

import json
from dataclasses import dataclass
from datetime import timedelta

from tests.openai_server import Fault

_LONG = timedelta(seconds=30)
_FAILED, _LATE = frozenset({"model_failed", "model_refused"}), frozenset({"model_timeout"})


@dataclass(frozen=True, slots=True)
class ModelFault:
    """One fault.

    Attributes:
        name: what happens.
        fault: how the server does it.
        whole, streamed: Allowed error codes; '' if the turn may succeed.
        within: Seconds until the client gets the error.
    """

    name: str
    fault: Fault
    whole: frozenset[str] = _FAILED
    streamed: frozenset[str] | None = None
    within: float = 8.0

    def codes(self, stream: bool) -> frozenset[str]:
        """The allowed error codes."""
        return self.streamed if stream and self.streamed is not None else self.whole


def _chat(**how: object) -> Fault:
    return Fault(purpose="completions", **how)  # pyright: ignore[reportArgumentType]


def _embedding(**how: object) -> Fault:
    return Fault(purpose="embeddings", **how)  # pyright: ignore[reportArgumentType]


def _answer(content: str) -> bytes:
    message = {"role": "assistant", "content": content}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return json.dumps({"id": "x", "object": "chat.completion", "choices": choices}).encode()


def _vectors(row: str) -> bytes:
    data = f'[{{"object": "embedding", "index": 0, "embedding": {row}}}]'
    return f'{{"object": "list", "data": {data}, "model": "x", "usage": {{}}}}'.encode()


_SOON, _FAR = timedelta(seconds=0.2), timedelta(seconds=5)
FAULTS = (
    ModelFault("the model answers 500", _chat(status=500)),
    ModelFault(
        "429, try again soon", _chat(status=429, retry_after=_SOON), _FAILED | {"model_unavailable"}
    ),
    ModelFault(
        "429, try again later than anybody waits",
        _chat(status=429, retry_after=_FAR),
        _FAILED | _LATE | {"model_unavailable"},
    ),
    ModelFault("401", _chat(status=401)),
    ModelFault("a connection refused", _chat(refuse=True)),
    ModelFault("no answer at all", _chat(hang=True), _LATE),
    ModelFault("an answer too late", _chat(delay=_LONG), _LATE),
    ModelFault("a stream cut off", _chat(cut_after_tokens=2), frozenset({""}), _FAILED),
    ModelFault("a stream that just ends", _chat(end_after_tokens=2), frozenset({""}), _FAILED),
    ModelFault("an empty answer", _chat(body=_answer("  "))),
    ModelFault("an empty body", _chat(body=b"")),
    ModelFault("not JSON", _chat(body=b"<html>Bad gateway</html>")),
    ModelFault("an enormous answer", _chat(body=_answer("word " * 4_000_000))),
)
EMBEDDING = (
    ModelFault("the embedder answers 500", _embedding(status=500)),
    ModelFault("an embedder that hangs", _embedding(hang=True)),
    ModelFault("vectors of other dimensions", _embedding(body=_vectors("[1.0, 0.5]"))),
    ModelFault("vectors of NaN", _embedding(body=_vectors("[" + "NaN, " * 63 + "NaN]"))),
    ModelFault("no vectors", _embedding(body=_vectors("[]"))),
    ModelFault("vectors that are no JSON", _embedding(body=b"<html>Bad gateway</html>")),
)
