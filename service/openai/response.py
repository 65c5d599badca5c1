"""Answers in the shape of OpenAI's chat completions.

Sending an answer: whole, or as a stream of chunks that ends in `[DONE]`.
"""

import json
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from fastapi import Request, Response
from langchain_core.messages import AIMessage, AIMessageChunk
from starlette.responses import JSONResponse, StreamingResponse

from onionskin.chains.turn import TurnReply
from onionskin.memory.errors import OnionskinError
from onionskin.service.errors import problem
from onionskin.service.openai.errors import error_body
from onionskin.service.streaming import iterate_shielded


@dataclass(frozen=True, slots=True)
class Envelope:
    """What all parts of one answer have in common."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def completion(self, reply: TurnReply) -> dict[str, Any]:
        """A whole answer."""
        calls = _calls(reply.message)
        message: dict[str, Any] = {
            "role": "assistant",
            "content": reply.reply if reply.reply or not calls else None,
            "refusal": None,
        }
        if calls:
            message["tool_calls"] = calls
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": finish_reason(reply),
        }
        return self._with("chat.completion", choices=[choice], usage=_usage(reply), **_where(reply))

    def chunk(self, delta: Mapping[str, Any]) -> dict[str, Any]:
        """A piece of a streamed answer."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
        return self._with("chat.completion.chunk", choices=[choice])

    def last_chunk(self, reply: TurnReply) -> dict[str, Any]:
        """The piece that ends a streamed answer: why it ended, and where it is stored."""
        finish = finish_reason(reply)
        choice: dict[str, Any] = {
            "index": 0,
            "delta": {},
            "logprobs": None,
            "finish_reason": finish,
        }
        return self._with("chat.completion.chunk", choices=[choice], **_where(reply))

    def usage(self, reply: TurnReply) -> dict[str, Any]:
        """The last piece of a stream that is to tell its usage."""
        return self._with("chat.completion.chunk", choices=[], usage=_usage(reply))

    def _with(self, kind: str, **more: Any) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            **more,
        }


def finish_reason(reply: TurnReply) -> str:
    """Why the answer ended: as the model said, else by what it holds."""
    if reply.interrupted:
        return "stop"
    if _calls(reply.message):
        return "tool_calls"
    metadata: dict[str, Any] = reply.message.response_metadata if reply.message else {}
    return str(metadata.get("finish_reason") or "stop")


def delta_of(piece: TurnReply) -> dict[str, Any]:
    """What a piece of a stream adds; empty for nothing."""
    delta: dict[str, Any] = {"content": piece.reply} if piece.reply else {}
    message = piece.message
    if isinstance(message, AIMessageChunk) and message.tool_call_chunks:
        delta["tool_calls"] = [
            {
                "index": call.get("index") or 0,
                **({"id": call["id"], "type": "function"} if call["id"] else {}),
                "function": {
                    **({"name": call["name"]} if call["name"] else {}),
                    "arguments": call["args"] or "",
                },
            }
            for call in message.tool_call_chunks
        ]
    return delta


def _where(reply: TurnReply) -> dict[str, Any]:
    """The session and the turn, in the field that OpenAI has for notes of one's own."""
    where = {"session_id": reply.session_id, "turn_id": reply.turn_id}
    noted = {name: value for name, value in where.items() if value}
    return {"metadata": noted} if noted else {}


def _calls(message: AIMessage | None) -> list[dict[str, Any]]:
    return [
        {
            "id": call["id"],
            "type": "function",
            "function": {"name": call["name"], "arguments": json.dumps(call["args"])},
        }
        for call in (message.tool_calls if message else [])
    ]


def _usage(reply: TurnReply) -> dict[str, int] | None:
    usage = reply.usage
    if usage is None:
        return None
    return {
        "prompt_tokens": usage["input_tokens"],
        "completion_tokens": usage["output_tokens"],
        "total_tokens": usage["total_tokens"],
    }


_STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
Pieces = AsyncGenerator[TurnReply]
Told = Callable[[], Awaitable[None]]


async def _nobody() -> None:
    return None


async def send_whole(
    request: Request, envelope: Envelope, reply: TurnReply, *, told: Told = _nobody
) -> Response:
    """A whole answer.

    Args:
        request: its client may have gone.
        envelope: of the answer.
        reply: what is said.
        told: called if there is a client to take it.
    """
    if not await request.is_disconnected():
        await told()  # before it is sent: the client's next request may follow at once
    return JSONResponse(envelope.completion(reply), headers=_headers(reply))


async def send_stream(
    envelope: Envelope, pieces: Pieces, *, wants_usage: bool, told: Told = _nobody
) -> Response:
    """A streamed answer; what goes wrong before its first words is an error like any other.

    Args:
        envelope: of the answer.
        pieces: what is said. Closed when the client hangs up; then nothing of the turn is stored.
        wants_usage: whether the last chunk tells the usage.
        told: called once the client has it all.
    """
    first = TurnReply()
    while not (first.reply or first.message or first.turn_id):
        piece = await anext(pieces, None)
        if piece is None:
            break
        first += piece
    events = _events(envelope, first, pieces, wants_usage=wants_usage, told=told)
    headers = _STREAM_HEADERS | _headers(first)
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def once(reply: TurnReply) -> Pieces:
    """A reply that is there already, as a stream."""
    yield replace(reply, message=None)


async def _events(
    envelope: Envelope, first: TurnReply, pieces: Pieces, *, wants_usage: bool, told: Told
) -> AsyncIterator[str]:
    yield _event(envelope.chunk({"role": "assistant", "content": ""}))
    whole = first
    try:
        async with aclosing(iterate_shielded(pieces)) as coming:
            if delta := delta_of(first):
                yield _event(envelope.chunk(delta))
            async for piece in coming:
                if piece is None:
                    continue
                whole += piece
                if delta := delta_of(piece):
                    yield _event(envelope.chunk(delta))
    except OnionskinError as error:
        yield _event(error_body(problem(error)))
        return
    yield _event(envelope.last_chunk(whole))
    await told()  # before the end of the stream: at [DONE] clients hang up
    if wants_usage:
        yield _event(envelope.usage(whole))
    yield "data: [DONE]\n\n"


def _headers(reply: TurnReply) -> dict[str, str]:
    named = {"X-Session-Id": reply.session_id, "X-Turn-Id": reply.turn_id}
    return {name: value for name, value in named.items() if value}


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"
