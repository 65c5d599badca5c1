"""Sending an answer: whole, or as a stream of chunks that ends in `[DONE]`."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from fastapi import Request, Response
from starlette.responses import JSONResponse, StreamingResponse

from chains.turn import ChatReply
from memory.errors import StrataError
from service.drawing import drawn
from service.errors import problem
from service.openai.completions import Envelope, delta_of
from service.openai.errors import error_body

_STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
Pieces = AsyncGenerator[ChatReply]
Told = Callable[[], Awaitable[None]]


async def _nobody() -> None:
    return None


async def send_whole(
    request: Request, envelope: Envelope, reply: ChatReply, *, told: Told = _nobody
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
    first = ChatReply()
    while not (first.reply or first.message or first.turn_id):
        piece = await anext(pieces, None)
        if piece is None:
            break
        first += piece
    events = _events(envelope, first, pieces, wants_usage=wants_usage, told=told)
    headers = _STREAM_HEADERS | _headers(first)
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def once(reply: ChatReply) -> Pieces:
    """A reply that is there already, as a stream."""
    yield replace(reply, message=None)


async def _events(
    envelope: Envelope, first: ChatReply, pieces: Pieces, *, wants_usage: bool, told: Told
) -> AsyncIterator[str]:
    yield _event(envelope.chunk({"role": "assistant", "content": ""}))
    whole = first
    try:
        async with aclosing(drawn(pieces)) as coming:
            if delta := delta_of(first):
                yield _event(envelope.chunk(delta))
            async for piece in coming:
                if piece is None:
                    continue
                whole += piece
                if delta := delta_of(piece):
                    yield _event(envelope.chunk(delta))
    except StrataError as error:
        yield _event(error_body(problem(error)))
        return
    yield _event(envelope.last_chunk(whole))
    await told()  # before the end of the stream: at [DONE] clients hang up
    if wants_usage:
        yield _event(envelope.usage(whole))
    yield "data: [DONE]\n\n"


def _headers(reply: ChatReply) -> dict[str, str]:
    named = {"X-Session-Id": reply.session_id, "X-Turn-Id": reply.turn_id}
    return {name: value for name, value in named.items() if value}


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"
