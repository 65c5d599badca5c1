"""One turn of a conversation."""

from collections.abc import AsyncGenerator
from typing import Any, cast

from fastapi import APIRouter, Response
from fastapi.sse import EventSourceResponse

from chains.conversation import ChatReply, ChatTurn
from service.dependencies import PrincipalDep, StateDep
from service.errors import problem_responses
from service.schemas import ChatAnswer, ChatRequest
from service.sse import reply_events

router = APIRouter(tags=["chat"])
_STREAM: dict[str, Any] = {
    "description": "The answer; with `stream: true`, the events `session`, `memory`, `token`, and "
    "`done` or `error`.",
    "content": {
        "text/event-stream": {
            "schema": {"type": "string"},
            "example": 'event: token\ndata: {"text": "Biscuit"}\n\n',
        }
    },
}
_RESPONSES = {200: _STREAM} | problem_responses(400, 404, 409, 413, 422, 502, 504, 507)


@router.post("/chat", response_model=ChatAnswer, responses=_RESPONSES)
@router.post("/v1/chat", response_model=ChatAnswer, responses=_RESPONSES)
async def chat(
    request: ChatRequest, state: StateDep, principal: PrincipalDep
) -> ChatAnswer | Response:
    """Answer a message with the user's memory, and remember both.

    With `stream: true` the answer comes as server-sent events; a client that hangs up before
    `done` leaves nothing stored.
    """
    user = principal.user(request.user_id)
    await state.limits.user(user)
    turn = ChatTurn(user, request.message, request.session_id, request.profile, request.on_conflict)
    if not request.stream:
        return ChatAnswer.of(await state.chain.ainvoke(turn))
    pieces = cast("AsyncGenerator[ChatReply]", state.chain.astream(turn))
    first = await anext(pieces)
    return EventSourceResponse(
        reply_events(first, pieces),
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )
