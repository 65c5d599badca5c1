"""`Idempotency-Key`: a request that names itself is done once, and answered the same for a day.

An answer to a turn that says something private is not kept: it is made anew of what is stored.

Source: draft-ietf-httpapi-idempotency-key-header.
"""

import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

from anyio import CancelScope
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.responses import StreamingResponse

from onionskin.memory.errors import InvalidInputError, OnionskinError, StoreUnavailableError
from onionskin.memory.privacy.policy import PrivacyPolicy
from onionskin.memory.store.idempotency import StoredResponse
from onionskin.memory.types.messages import User
from onionskin.service.state import State

_LONGEST_KEY, _LARGEST_KEPT = 255, 4 << 20
_MARGIN = timedelta(seconds=30)
_KEPT_HEADERS = ("content-type", "x-session-id", "x-turn-id")
_TRY_AGAIN = (409, 429)
_DONE = b"event: done"
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class _Claim:
    state: State
    user: User
    name: str
    fingerprint: bytes
    hold: timedelta
    token: str = field(default_factory=lambda: secrets.token_hex(8))

    async def give_back(self) -> None:
        """Let the request be tried again."""
        await self.state.claims.release(self.user, self.name, self.token, ttl=self.hold)


class KeyReusedError(OnionskinError):
    """The key was used for another request."""

    code = "idempotency_key_reused"


class InFlightError(OnionskinError):
    """The request of this key is under way."""

    code = "idempotency_in_flight"


class IdempotentRoute(APIRoute):
    """A route whose POST may be sent again under the same `Idempotency-Key`."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """The handler, with or without a key."""
        plain = super().get_route_handler()
        if "POST" not in (self.methods or ()):
            return plain

        async def handler(request: Request) -> Response:
            key = request.headers.get("idempotency-key")
            return await (plain(request) if key is None else _once(request, key, plain))

        return handler


def turn_nonce(request: Request) -> str:
    """What names a turn in the store: drawn from the request's key; empty without one."""
    return getattr(request.state, "nonce", "")


async def _once(request: Request, key: str, plain: Handler) -> Response:
    if not (key.isascii() and key.isprintable() and 0 < len(key) <= _LONGEST_KEY):
        raise InvalidInputError("Idempotency-Key must be 1 to 255 visible ASCII characters.")
    state = cast("State", request.state.onionskin)
    principal = await state.authenticator.authenticate(request.headers)
    body = await request.body()
    user_id = request.path_params.get("user_id") or _user_in(body)
    if not user_id:
        return await plain(request)  # which tells what is missing
    user = principal.user(user_id)
    await state.pseudonyms.note(user)
    name = f"http:{_digest(principal.id, key).hex()}"
    request.state.nonce = f"turn:{_digest(principal.id, key).hex()}"
    asked = _kept(body, state.privacy_policies.strictest)
    fingerprint = _digest(request.method, str(request.url.path), request.url.query, asked)
    hold = state.settings.model_timeout + _MARGIN
    claim = _Claim(state, user, name, fingerprint, hold)
    found = await _claimed(claim)
    if found is None:
        return await _first(claim, request, plain)
    if found.fingerprint != fingerprint:
        raise KeyReusedError(
            "This Idempotency-Key came with another request. Draw a new one for each request."
        )
    if not found.status:
        raise InFlightError(
            "The request of this Idempotency-Key is under way. Wait, then try again."
        )
    replayed = {"Idempotency-Replayed": "true"}
    if found.body:
        return Response(found.body, found.status, dict(found.headers) | replayed)
    response = await plain(request)
    response.headers.update(replayed)
    return response


async def _claimed(claim: _Claim) -> StoredResponse | None:
    """What became of the request; None if it is ours to do."""
    try:
        return await claim.state.store.idempotency.claim_key(
            claim.user,
            claim.name,
            StoredResponse(claim.fingerprint, token=claim.token),
            timeout=claim.hold,
        )
    except StoreUnavailableError:
        await claim.give_back()  # it may be ours, and nobody knows
        raise


async def _first(claim: _Claim, request: Request, plain: Handler) -> Response:
    state, user, name = claim.state, claim.user, claim.name
    try:
        response = await plain(request)
    except BaseException:
        await claim.give_back()
        raise
    withheld = getattr(request.state, "withheld", False)
    headers = tuple(
        (one, response.headers[one]) for one in _KEPT_HEADERS if one in response.headers
    )

    async def keep(body: bytes, *, whole: bool) -> None:
        fine = response.status_code < 500 and response.status_code not in _TRY_AGAIN  # noqa: PLR2004
        if whole and fine and len(body) <= _LARGEST_KEPT:
            kept = b"" if withheld else body
            outcome = StoredResponse(claim.fingerprint, response.status_code, headers, kept)
            try:
                await state.store.idempotency.save_response(user, name, outcome)
            except StoreUnavailableError:
                await claim.give_back()
                raise
        else:
            await claim.give_back()

    if isinstance(response, StreamingResponse):
        pieces = cast("AsyncIterator[bytes]", response.body_iterator)
        response.body_iterator = _kept_stream(pieces, keep)
    else:
        await keep(bytes(response.body), whole=True)
    return response


async def _kept_stream(
    pieces: AsyncIterator[bytes], keep: Callable[..., Awaitable[None]]
) -> AsyncIterator[bytes]:
    sent: list[bytes] = []
    done = False
    try:
        async for piece in pieces:
            sent.append(piece)
            if piece.startswith(_DONE):
                done = True  # kept before the client knows, so that a hang-up cannot undo it
                await keep(b"".join(sent), whole=True)
            yield piece
    finally:
        if not done:
            with CancelScope(shield=True):  # the client may have gone, and the request with it
                await keep(b"", whole=False)


def _user_in(body: bytes) -> str | None:
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    named: Any = cast("dict[str, Any]", found).get("user_id") if isinstance(found, dict) else None
    return named if isinstance(named, str) and 0 < len(named) <= 256 else None  # noqa: PLR2004


def _kept(body: bytes, discretion: PrivacyPolicy) -> bytes:
    """What a body says, but for what is not kept: its digest is stored, and tells nothing of it."""
    try:
        said: Any = json.loads(body)
    except (ValueError, RecursionError):
        return body  # it is refused
    kept = discretion.redact_json(said)
    return body if kept == said else json.dumps(kept).encode()


def _digest(*parts: str | bytes) -> bytes:
    whole = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        whole.update(len(data).to_bytes(8, "big") + data)
    return whole.digest()
