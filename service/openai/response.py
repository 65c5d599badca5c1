"""Chat completions as responses: a JSON object, or a stream of chunks that ends with `[DONE]`."""

import json
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from fastapi import Request, Response
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk
from starlette.responses import JSONResponse, StreamingResponse

from onionskin.chains.turn import TurnReply
from onionskin.memory.errors import OnionskinError
from onionskin.service.errors import problem
from onionskin.service.openai.errors import error_body
from onionskin.service.streaming import iterate_shielded

_STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
_REASONING = "reasoning_content"
OnDelivered: TypeAlias = Callable[[], Awaitable[None]]


async def _ignore() -> None:
    return None


@dataclass(frozen=True, slots=True)
class ChatCompletion:
    """Formats replies as a chat completion; all its chunks share id, time and model."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, reply: TurnReply) -> dict[str, Any]:
        """The whole completion as one object."""
        tool_calls, refusal = _tool_calls(reply.message), _field(reply.message, "refusal")
        text = "" if refusal else reply.reply
        message: dict[str, Any] = {
            "role": "assistant",
            "content": text if text or not (tool_calls or refusal) else None,
            "refusal": refusal,
        }
        if tool_calls:
            message["tool_calls"] = tool_calls
        if reasoning := _field(reply.message, _REASONING):
            message[_REASONING] = reasoning
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": finish_reason(reply),
        }
        usage = _usage(reply)
        return self._object("chat.completion", choices=[choice], usage=usage, **_metadata(reply))

    def chunk(self, delta: Mapping[str, Any]) -> dict[str, Any]:
        """A chunk of a stream."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
        return self._object("chat.completion.chunk", choices=[choice])

    def last_chunk(self, reply: TurnReply) -> dict[str, Any]:
        """The chunk that ends the answer, with its finish reason, session and turn."""
        choice: dict[str, Any] = {
            "index": 0,
            "delta": {},
            "logprobs": None,
            "finish_reason": finish_reason(reply),
        }
        return self._object("chat.completion.chunk", choices=[choice], **_metadata(reply))

    def usage_chunk(self, reply: TurnReply) -> dict[str, Any]:
        """The chunk with the usage, for clients that set `include_usage`."""
        return self._object("chat.completion.chunk", choices=[], usage=_usage(reply))

    def _object(self, kind: str, **fields: Any) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            **fields,
        }


def finish_reason(reply: TurnReply) -> str:
    """The finish reason of a reply: the model's own, unless it was interrupted or calls tools."""
    if reply.interrupted:
        return "stop"
    if _tool_calls(reply.message):
        return "tool_calls"
    metadata: dict[str, Any] = reply.message.response_metadata if reply.message else {}
    return str(metadata.get("finish_reason") or "stop")


def delta_of(piece: TurnReply) -> dict[str, Any]:
    """The delta of a piece of a reply; empty if the piece adds nothing."""
    message = piece.message
    delta: dict[str, Any] = {"content": piece.reply} if piece.reply else {}
    if refusal := _field(message, "refusal"):
        delta = {"refusal": refusal}
    if reasoning := _field(message, _REASONING):
        delta[_REASONING] = reasoning
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


async def completion_response(
    request: Request,
    completion: ChatCompletion,
    reply: TurnReply,
    *,
    on_delivered: OnDelivered = _ignore,
) -> Response:
    """A response with the whole completion.

    Args:
        request: The request.
        completion: Format of the completion.
        reply: The reply.
        on_delivered: Called if the client is still connected.
    """
    if not await request.is_disconnected():
        await on_delivered()  # before sending: the client's next request may follow at once
    return JSONResponse(completion.whole(reply), headers=_headers(reply))


async def stream_response(
    completion: ChatCompletion,
    pieces: AsyncGenerator[TurnReply],
    *,
    include_usage: bool,
    on_delivered: OnDelivered = _ignore,
) -> Response:
    """A streaming response; an error before the first text becomes an ordinary error response.

    Args:
        completion: Format of the completion.
        pieces: Pieces of the reply. If the client disconnects, the generator is closed, and the
            beginning of the answer is stored.
        include_usage: Whether a usage chunk ends the stream.
        on_delivered: Called once the client has received the whole answer.
    """
    first = TurnReply()
    while not (first.reply or first.message or first.turn_id):
        piece = await anext(pieces, None)
        if piece is None:
            break
        first += piece
    events = _events(
        completion, first, pieces, include_usage=include_usage, on_delivered=on_delivered
    )
    headers = _STREAM_HEADERS | _headers(first)
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def single_piece(reply: TurnReply) -> AsyncGenerator[TurnReply]:
    """A stored reply as a stream of one piece."""
    message = reply.message
    if message is None:
        yield reply
        return
    chunks = [
        tool_call_chunk(
            name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=index
        )
        for index, call in enumerate(message.tool_calls)
    ]
    fields = message.additional_kwargs
    yield replace(
        reply, message=AIMessageChunk(content="", tool_call_chunks=chunks, additional_kwargs=fields)
    )


async def _events(
    completion: ChatCompletion,
    first: TurnReply,
    pieces: AsyncGenerator[TurnReply],
    *,
    include_usage: bool,
    on_delivered: OnDelivered,
) -> AsyncIterator[str]:
    yield _event(completion.chunk({"role": "assistant", "content": ""}))
    whole = first
    try:
        async with aclosing(iterate_shielded(pieces)) as shielded:
            if delta := delta_of(first):
                yield _event(completion.chunk(delta))
            async for piece in shielded:
                if piece is None:
                    continue
                whole += piece
                if delta := delta_of(piece):
                    yield _event(completion.chunk(delta))
    except OnionskinError as error:
        yield _event(error_body(problem(error)))
        return
    yield _event(completion.last_chunk(whole))
    await on_delivered()  # before the end of the stream: clients disconnect at [DONE]
    if include_usage:
        yield _event(completion.usage_chunk(whole))
    yield "data: [DONE]\n\n"


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


def _headers(reply: TurnReply) -> dict[str, str]:
    ids = {"X-Session-Id": reply.session_id, "X-Turn-Id": reply.turn_id}
    return {name: value for name, value in ids.items() if value}


def _metadata(reply: TurnReply) -> dict[str, Any]:
    """Ids of the session and the turn, in OpenAI's field for data of the application."""
    ids = {"session_id": reply.session_id, "turn_id": reply.turn_id}
    metadata = {name: value for name, value in ids.items() if value}
    return {"metadata": metadata} if metadata else {}


def _field(message: AIMessage | None, name: str) -> str | None:
    """A text that the model sent beside its answer."""
    text = message.additional_kwargs.get(name) if message else None
    return text if isinstance(text, str) and text else None


def _tool_calls(message: AIMessage | None) -> list[dict[str, Any]]:
    """The tool calls of a message; of those that are no valid JSON, what the model wrote."""
    if message is None:
        return []
    calls = [
        (call["id"], call["name"], json.dumps(call["args"], ensure_ascii=False))
        for call in message.tool_calls
    ]
    calls += [
        (call["id"], call["name"] or "", call["args"] or "") for call in message.invalid_tool_calls
    ]
    return [
        {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
        for id_, name, arguments in calls
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
