"""`/v1/chat/completions` and `/v1/models`: each memory profile is a model."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

from fastapi import APIRouter, Request, Response

from onionskin.chains.generation import answer, answer_stream
from onionskin.chains.observers import CallPurpose
from onionskin.chains.turn import TurnReply, TurnRequest
from onionskin.memory.errors import UnknownProfileError
from onionskin.service.dependencies import PrincipalDep, StateDep, admit_turn
from onionskin.service.openai.client_quirks import is_auxiliary_request, user_of
from onionskin.service.openai.errors import openai_responses
from onionskin.service.openai.request import parse_request, to_prompt
from onionskin.service.openai.response import Envelope, once, send_stream, send_whole
from onionskin.service.openai.retries import RequestAttempt, attempt
from onionskin.service.openai.schemas import CompletionRequest
from onionskin.service.openai.session_matching import is_session_id
from onionskin.service.state import State

router = APIRouter(tags=["openai"])
_CREATED = 1_760_000_000
_STREAM = {
    "description": "A completion, or its chunks as events.",
    "content": {
        "application/json": {"schema": {"type": "object"}},
        "text/event-stream": {},
    },
}
_RESPONSES: dict[int | str, dict[str, Any]] = {200: _STREAM} | openai_responses(
    400, 404, 409, 413, 422, 502, 504, 507
)


class UnknownModelError(UnknownProfileError):
    """No memory profile bears the model's name."""

    code = "model_not_found"


@router.get("/v1/models", responses=openai_responses())
async def list_models(state: StateDep, _: PrincipalDep) -> dict[str, Any]:
    """The memory profiles, as models."""
    return {"object": "list", "data": [_model(name) for name in state.profiles]}


@router.get("/v1/models/{name}", responses=openai_responses(404, 422))
async def get_model(name: str, state: StateDep, _: PrincipalDep) -> dict[str, Any]:
    """One memory profile, as a model."""
    return _model(_known(state, name))


@router.post("/v1/chat/completions", response_model=None, responses=_RESPONSES)
async def complete(
    body: CompletionRequest, request: Request, state: StateDep, principal: PrincipalDep
) -> Response:
    """A chat completion with the user's memory; see docs/openai.md for what is remembered."""
    profile, asked = _known(state, body.model), parse_request(body)
    envelope = Envelope(profile)
    if is_auxiliary_request(body, request.headers):
        return await _job(state, body, request, envelope)
    secret = state.settings.openwebui_secret
    named = user_of(body, request.headers, principal, secret)
    user = await admit_turn(request, state, principal, named)
    within = state.settings.model_timeout
    keep = state.privacy_policies.strictest.redact_json
    tried = await attempt(state.store, user, body, request.headers, within=within, keep=keep)
    if tried.known:
        if not body.stream:
            return await send_whole(request, envelope, tried.known, told=tried.told)
        pieces = once(tried.known)
        return await send_stream(envelope, pieces, wants_usage=body.wants_usage, told=tried.told)
    async with tried.given_up_on_failure():
        session_id = await state.session_matcher.session(
            user, asked.history, named=_named(body, request), profile=profile
        )
        turn = TurnRequest(
            user,
            asked.text,
            session_id,
            profile,
            nonce=tried.tried.nonce,
            instructions=asked.instructions,
            new_session=session_id is None,
        )
        if body.stream:
            pieces = _pieces(state, turn, tried)
            return await send_stream(
                envelope, pieces, wants_usage=body.wants_usage, told=tried.told
            )
        reply = await state.chain.ainvoke(turn)
        if not reply.turn_id:
            await tried.failed()  # calls of tools: a retry asks anew
    return await send_whole(request, envelope, reply, told=tried.told)


async def _pieces(
    state: State, turn: TurnRequest, tried: RequestAttempt
) -> AsyncGenerator[TurnReply]:
    """The pieces of a reply; a stream that nobody heard to its end counts as failed."""
    stored = False
    pieces = cast("AsyncGenerator[TurnReply]", state.chain.astream(turn))
    try:
        async with aclosing(pieces):
            async for piece in pieces:
                stored = stored or bool(piece.turn_id)
                yield piece
    finally:
        if not stored:
            await tried.failed()


async def _job(
    state: State, body: CompletionRequest, request: Request, envelope: Envelope
) -> Response:
    """A job of a front-end: the model answers it, and nothing is remembered."""
    prompt, options = to_prompt(body, state.privacy_policies.default), body.options()
    within = state.settings.model_timeout
    purpose = CallPurpose("job", state.observer)
    if not body.stream:
        message = await answer(state.model, prompt, within=within, options=options, purpose=purpose)
        said = TurnReply(str(message.text), usage=message.usage_metadata, message=message)
        return await send_whole(request, envelope, said)

    async def pieces() -> AsyncGenerator[TurnReply]:
        coming = answer_stream(state.model, prompt, within=within, options=options, purpose=purpose)
        async for one in coming:
            yield TurnReply(str(one.text), usage=one.usage_metadata, message=one)

    return await send_stream(envelope, pieces(), wants_usage=body.wants_usage)


def _named(body: CompletionRequest, request: Request) -> str | None:
    """The session that a request names: by header, by metadata, or by its cache's key."""
    named = request.headers.get("x-session-id") or (body.metadata or {}).get("session_id")
    if named:
        return str(named)
    return body.prompt_cache_key if is_session_id(body.prompt_cache_key) else None


def _known(state: State, name: str) -> str:
    if name not in state.profiles:
        known = ", ".join(sorted(state.profiles))
        raise UnknownModelError(f"No model {name!r}: models are memory profiles: {known}.")
    return name


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "onionskin"}
