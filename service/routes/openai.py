"""`/v1/chat/completions` and `/v1/models`: each memory profile is a model."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, cast

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse, StreamingResponse

from chains.answering import answer, answer_stream
from chains.turn import ChatReply, ChatTurn
from memory.errors import StrataError, UnknownProfileError
from service.dependencies import PrincipalDep, StateDep
from service.errors import problem
from service.openai.asking import as_prompt, taken_apart
from service.openai.completions import Envelope, delta_of, finish_reason
from service.openai.errors import error_body, openai_responses
from service.openai.front_ends import is_job, user_of
from service.openai.retries import Attempt, attempt, failed
from service.openai.schemas import CompletionRequest
from service.state import State

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
_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


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
    profile, asked = _known(state, body.model), taken_apart(body)
    envelope = Envelope(profile)
    if is_job(body, request.headers):
        return await _job(state, body, envelope)
    secret = state.settings.openwebui_secret
    user = principal.user(user_of(body, request.headers, principal, secret))
    await state.limits.user(user)
    await state.budgets.check(user)
    within = state.settings.model_timeout
    tried = await attempt(state.store, user, body, request.headers, within=within)
    if tried.known:
        return await _answered(body, envelope, tried.known)
    try:
        session_id = await state.conversations.session(
            user, asked.history, named=_named(body, request), profile=profile
        )
        turn = ChatTurn(
            user,
            asked.text,
            session_id,
            profile,
            nonce=tried.nonce,
            ask=asked.ask,
            fresh=session_id is None,
        )
        if body.stream:
            pieces = _told(state, turn, tried)
            return await _streamed(body, envelope, await anext(pieces), pieces)
        reply = await state.chain.ainvoke(turn)
    except BaseException:
        await failed(state.store, user, tried)
        raise
    return await _answered(body, envelope, reply)


async def _told(state: State, turn: ChatTurn, tried: Attempt) -> AsyncGenerator[ChatReply]:
    """The pieces of a reply; a stream that nobody heard to its end counts as failed."""
    stored = False
    pieces = cast("AsyncGenerator[ChatReply]", state.chain.astream(turn))
    try:
        async with aclosing(pieces):
            async for piece in pieces:
                stored = stored or bool(piece.turn_id)
                yield piece
    finally:
        if not stored:
            await failed(state.store, turn.user, tried)


async def _answered(body: CompletionRequest, envelope: Envelope, reply: ChatReply) -> Response:
    if body.stream:

        async def rest() -> AsyncGenerator[ChatReply]:
            yield replace(reply, session_id="")

        return await _streamed(body, envelope, replace(reply, reply="", message=None), rest())
    headers = {"X-Session-Id": reply.session_id, "X-Turn-Id": reply.turn_id}
    kept = {name: value for name, value in headers.items() if value}
    return JSONResponse(envelope.completion(reply), headers=kept)


async def _streamed(
    body: CompletionRequest,
    envelope: Envelope,
    first: ChatReply,
    pieces: AsyncGenerator[ChatReply],
) -> Response:
    wants_usage = bool(body.stream_options and body.stream_options.include_usage)

    async def events() -> AsyncIterator[str]:
        yield _event(envelope.chunk({"role": "assistant", "content": ""}))
        whole = first
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    whole += piece
                    if delta := delta_of(piece):
                        yield _event(envelope.chunk(delta))
        except StrataError as error:
            yield _event(error_body(problem(error)))
            return
        yield _event(envelope.chunk({}, finish_reason(whole)))
        if wants_usage:
            yield _event(envelope.usage(whole))
        yield "data: [DONE]\n\n"

    headers = {"X-Session-Id": first.session_id, **_HEADERS} if first.session_id else _HEADERS
    return StreamingResponse(events(), media_type="text/event-stream", headers=headers)


async def _job(state: State, body: CompletionRequest, envelope: Envelope) -> Response:
    """A job of a front-end: the model answers it, and nothing is remembered."""
    prompt, options, within = as_prompt(body), body.options(), state.settings.model_timeout
    if not body.stream:
        message = await answer(state.model, prompt, within=within, options=options)
        said = ChatReply(str(message.text), usage=message.usage_metadata, message=message)
        return await _answered(body, envelope, said)

    async def pieces() -> AsyncGenerator[ChatReply]:
        async for one in answer_stream(state.model, prompt, within=within, options=options):
            yield ChatReply(str(one.text), usage=one.usage_metadata, message=one)

    return await _streamed(body, envelope, ChatReply(), pieces())


def _named(body: CompletionRequest, request: Request) -> str | None:
    named = request.headers.get("x-session-id") or (body.metadata or {}).get("session_id")
    key = body.prompt_cache_key
    return str(named) if named else key if key and key.startswith("s_") else None


def _known(state: State, name: str) -> str:
    if name not in state.profiles:
        known = ", ".join(sorted(state.profiles))
        raise UnknownModelError(f"No model {name!r}: models are memory profiles: {known}.")
    return name


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "strata"}


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"
