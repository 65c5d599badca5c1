"""Endpoints of a turn: chat with the model, or read the memory for a model of your own."""

import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any, cast

from fastapi import APIRouter, Request, Response
from fastapi.sse import EventSourceResponse

from onionskin.chains.turn import TurnReply, TurnRequest, stored_reply
from onionskin.service.api_route import ApiRoute
from onionskin.service.chat.schemas import ChatAnswer, ChatRequest, ContextAnswer, ContextRequest
from onionskin.service.chat.sse import reply_events
from onionskin.service.dependencies import (
    OwnerDep,
    PrincipalDep,
    StateDep,
    admit_turn,
    zones_of,
)
from onionskin.service.errors import problem_responses
from onionskin.service.idempotency import IdempotentRoute, turn_nonce

router = APIRouter(tags=["chat"])
_turn_router = APIRouter(route_class=IdempotentRoute)
_context_router = APIRouter(route_class=ApiRoute, prefix="/v1/users/{user_id}/context")
_STREAM: dict[str, Any] = {
    "description": "The answer; with `stream: true`, the events `session`, `memory`, `token`, and "
    "`done` or `error`.",
    "content": {
        "text/event-stream": {
            "example": 'event: token\ndata: {"text": "Biscuit"}\n\n',
        }
    },
}
_RESPONSES = {200: _STREAM} | problem_responses(400, 404, 409, 413, 422, 502, 504, 507)


@_turn_router.post("/chat", response_model=ChatAnswer, responses=_RESPONSES)
@_turn_router.post("/v1/chat", response_model=ChatAnswer, responses=_RESPONSES)
async def chat(
    body: ChatRequest, request: Request, state: StateDep, principal: PrincipalDep
) -> Response:
    """Answer a message with the user's memory, and store both.

    With `stream: true` the answer is a stream of server-sent events. If the client disconnects
    before `done`, the message is stored with the beginning of the answer, marked
    `interrupted`. If the model fails, the message is stored without an answer.
    """
    user = await admit_turn(request, state, principal, body.user_id)
    nonce = turn_nonce(request)
    turn = state.chain.prepare(
        TurnRequest(
            user,
            body.message,
            body.session_id,
            body.profile,
            body.on_conflict,
            nonce,
            instructions=body.instructions(),
            is_stored=body.store,
            metadata=json.dumps(body.metadata, ensure_ascii=False) if body.metadata else "",
            excluded_sessions=tuple(body.apart_from),
            zones=zones_of(request, principal),
        )
    )
    request.state.withheld = turn.redacts_answer
    stored = await stored_reply(state.store, user, nonce) if nonce else None
    if not body.stream:
        reply = stored or await state.chain.ainvoke(turn)
        return Response(ChatAnswer.json_of(reply), media_type="application/json")
    pieces = _stream_of(stored) if stored else state.chain.astream(turn)
    pieces = cast("AsyncGenerator[TurnReply]", pieces)
    first = await anext(pieces)
    return EventSourceResponse(
        reply_events(first, pieces),
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


async def _stream_of(reply: TurnReply) -> AsyncGenerator[TurnReply]:
    """The pieces of a stored turn's reply, whose answer was lost on the way."""
    yield replace(reply, reply="")
    yield TurnReply(reply=reply.reply)


@_context_router.post("", responses=problem_responses(404, 409, 413, 422))
async def get_context(
    user: OwnerDep,
    body: ContextRequest,
    request: Request,
    state: StateDep,
    principal: PrincipalDep,
) -> ContextAnswer:
    """Read the prompt for a message, without a model call. Nothing is stored.

    Use an import to store a turn that another model answers.
    """
    zones = zones_of(request, principal)
    turn = TurnRequest(user, body.message, body.session_id, body.profile, zones=zones)
    return ContextAnswer.of(await state.context_builder.recall(turn))


router.include_router(_turn_router)
router.include_router(_context_router)
