"""Endpoints `/v1/chat/completions` and `/v1/models`: each memory profile is a model."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, cast

from fastapi import APIRouter, Request, Response

from onionskin.chains.generation import CallPurpose
from onionskin.chains.turn import TurnReply, TurnRequest
from onionskin.memory.errors import UnknownProfileError
from onionskin.memory.types.messages import User
from onionskin.service.dependencies import PrincipalDep, StateDep, admit_turn, zones_of
from onionskin.service.openai import retries
from onionskin.service.openai.client_quirks import conversation_name, kind_of, user_of
from onionskin.service.openai.errors import OpenAIRoute, openai_responses
from onionskin.service.openai.request import ParsedRequest, parse_request, to_prompt
from onionskin.service.openai.response import (
    ChatCompletion,
    completion_response,
    single_piece,
    stream_response,
)
from onionskin.service.openai.retries import RequestAttempt
from onionskin.service.openai.schemas import CompletionRequest
from onionskin.service.openai.session_matching import Place
from onionskin.service.state import State

router = APIRouter(route_class=OpenAIRoute, tags=["openai"])
_MODELS_CREATED = 1_760_000_000
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
    """There is no memory profile with the model's name."""

    code = "model_not_found"


@router.get("/v1/models", responses=openai_responses())
async def list_models(state: StateDep, _: PrincipalDep) -> dict[str, Any]:
    """List the memory profiles as models."""
    return {"object": "list", "data": [_model(name) for name in state.profiles]}


@router.get("/v1/models/{name}", responses=openai_responses(404, 422))
async def get_model(name: str, state: StateDep, _: PrincipalDep) -> dict[str, Any]:
    """Read one memory profile as a model."""
    return _model(_profile(state, name))


@router.post("/v1/chat/completions", response_model=None, responses=_RESPONSES)
async def complete(
    body: CompletionRequest, request: Request, state: StateDep, principal: PrincipalDep
) -> Response:
    """Create a chat completion with the user's memory; docs/openai.md says what is stored."""
    profile, kind = _profile(state, body.model), kind_of(body, request.headers)
    completion = ChatCompletion(profile)
    if kind == "job":
        return await _job_response(state, body, request, completion)
    parsed = parse_request(body)
    user_id = user_of(body, request.headers, principal, state.settings.openwebui_secret)
    user = await admit_turn(request, state, principal, user_id)
    name = conversation_name(body, request.headers, parsed.program)
    if kind == "temporary":
        place = await state.session_matcher.look_up(user, parsed, name=name)
        turn = replace(
            _turn(user, parsed, place, profile),
            is_stored=False,
            zones=zones_of(request, principal),
        )
        return await _temporary_response(state, turn, body, request, completion)
    attempt = await retries.begin(
        state.store,
        user,
        body,
        request.headers,
        timeout=state.settings.model_timeout,
        redact=state.privacy_policies.strictest.redact_json,
    )
    if attempt.stored:
        return await _stored_response(body, request, completion, attempt, attempt.stored)
    async with attempt.failing_on_error():
        place = await state.session_matcher.find(
            user, parsed, name=name, profile=profile, is_retry=attempt.attempt.replaces_failed
        )
        turn = replace(
            _turn(user, parsed, place, profile),
            nonce=attempt.nonce,
            zones=zones_of(request, principal),
        )
        if body.stream:
            return await stream_response(
                completion,
                _pieces(state, turn, attempt),
                include_usage=body.include_usage,
                on_delivered=attempt.mark_delivered,
            )
        reply = await state.chain.ainvoke(turn)
        if not reply.turn_id:
            await attempt.mark_failed()  # tool calls are not stored: a retry calls the model again
    return await completion_response(
        request, completion, reply, on_delivered=attempt.mark_delivered
    )


async def _temporary_response(
    state: State,
    turn: TurnRequest,
    body: CompletionRequest,
    request: Request,
    completion: ChatCompletion,
) -> Response:
    """The answer to a turn that is recalled for, but not stored."""
    if body.stream:
        pieces = cast("AsyncGenerator[TurnReply]", state.chain.astream(turn))
        return await stream_response(completion, pieces, include_usage=body.include_usage)
    return await completion_response(request, completion, await state.chain.ainvoke(turn))


def _turn(user: User, parsed: ParsedRequest, place: Place, profile: str) -> TurnRequest:
    return TurnRequest(
        user,
        parsed.text,
        place.session_id,
        profile,
        instructions=parsed.instructions,
        new_session=place.session_id is None,
        shown_from=place.shown_from,
        replaces_from=place.replaces_from,
        new_session_id=place.new_session_id,
        keeps_markup=True,
    )


async def _stored_response(
    body: CompletionRequest,
    request: Request,
    completion: ChatCompletion,
    attempt: RequestAttempt,
    reply: TurnReply,
) -> Response:
    """The response to a retry whose turn is stored."""
    if not body.stream:
        return await completion_response(
            request, completion, reply, on_delivered=attempt.mark_delivered
        )
    return await stream_response(
        completion,
        single_piece(reply),
        include_usage=body.include_usage,
        on_delivered=attempt.mark_delivered,
    )


async def _pieces(
    state: State, turn: TurnRequest, attempt: RequestAttempt
) -> AsyncGenerator[TurnReply]:
    """The pieces of a reply; the attempt fails if the stream ends before the turn is stored."""
    is_stored = False
    pieces = cast("AsyncGenerator[TurnReply]", state.chain.astream(turn))
    try:
        async with aclosing(pieces):
            async for piece in pieces:
                is_stored = is_stored or bool(piece.turn_id)
                yield piece
    finally:
        if not is_stored:
            await attempt.mark_failed()


async def _job_response(
    state: State, body: CompletionRequest, request: Request, completion: ChatCompletion
) -> Response:
    """The model's answer to a job of a front end; nothing is recalled or stored."""
    prompt, options = to_prompt(body, state.privacy_policies.default), body.options()
    generator, purpose = state.generator, CallPurpose("job")
    if not body.stream:
        message = await generator.generate(prompt, purpose, options=options)
        reply = TurnReply(str(message.text), usage=message.usage_metadata, message=message)
        return await completion_response(request, completion, reply)

    async def pieces() -> AsyncGenerator[TurnReply]:
        async with aclosing(generator.stream(prompt, purpose, options=options)) as chunks:
            async for chunk in chunks:
                yield TurnReply(str(chunk.text), usage=chunk.usage_metadata, message=chunk)

    return await stream_response(completion, pieces(), include_usage=body.include_usage)


def _profile(state: State, model: str) -> str:
    if model not in state.profiles:
        known = ", ".join(sorted(state.profiles))
        raise UnknownModelError(f"No model {model!r}: models are memory profiles: {known}.")
    return model


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _MODELS_CREATED, "owned_by": "onionskin"}
