"""`Idempotency-Key`: a request with a key runs once and gets the same response for a day.

The response to a turn with private text is not stored; a replay rebuilds it from the stored turn.

Source: draft-ietf-httpapi-idempotency-key-header.
"""

import asyncio
import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

from anyio import CancelScope
from fastapi import Request, Response
from starlette.responses import StreamingResponse

from onionskin.memory.errors import InvalidInputError, OnionskinError, StoreUnavailableError
from onionskin.memory.privacy.policy import PrivacyPolicy
from onionskin.memory.store import StoredResponse
from onionskin.memory.types.messages import User
from onionskin.service.api_route import ApiRoute
from onionskin.service.state import State

_MAX_KEY_LENGTH, _MAX_STORED_BYTES = 255, 4 << 20
_MARGIN, _RENEWALS = timedelta(seconds=30), 3
_STORED_HEADERS = ("content-type", "x-session-id", "x-turn-id")
_RETRYABLE = (409, 429)
_DONE = b"event: done"
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Claim:
    """The claim of a running request on its key.

    Attributes:
        name: Name of the request in the store.
        fingerprint: A digest of the request.
        ttl: Time after which the claim expires unless it is renewed.
        token: Identifies the claim.
    """

    state: State
    user: User
    name: str
    fingerprint: bytes
    ttl: timedelta
    token: str = field(default_factory=lambda: secrets.token_hex(8))

    def keep(self) -> Callable[[], None]:
        """Renew the claim while the request runs; the result of the call ends that."""
        pause, renewals = self.ttl.total_seconds() / _RENEWALS, set[asyncio.Task[None]]()
        loop = asyncio.get_running_loop()

        async def renew() -> None:
            nonlocal timer
            with suppress(OnionskinError):  # Redis is away; the next renewal may be in time
                await self.state.store.idempotency.renew_claim(
                    self.user, self.name, self.token, timeout=self.ttl
                )
            timer = loop.call_later(pause, begin)

        def begin() -> None:
            task = loop.create_task(renew(), name="claim-renewal")
            renewals.add(task)
            task.add_done_callback(renewals.discard)

        def end() -> None:
            timer.cancel()
            for task in renewals:
                task.cancel()

        timer = loop.call_later(pause, begin)
        return end

    async def release(self) -> None:
        """Release the claim, so that the request can be retried."""
        await self.state.claims.release(self.user, self.name, self.token, ttl=self.ttl)


class KeyReusedError(OnionskinError):
    """The key was used for another request."""

    code = "idempotency_key_reused"


class InFlightError(OnionskinError):
    """The request of this key is still running."""

    code = "idempotency_in_flight"


class IdempotentRoute(ApiRoute):
    """A route whose POST requests can be retried with the same `Idempotency-Key`."""

    def make_handler(self) -> Callable[[Request], Any]:
        """The handler, which runs a request with a key once."""
        run = super().make_handler()
        if "POST" not in (self.methods or ()):
            return run

        async def handler(request: Request) -> Response:
            key = request.headers.get("idempotency-key")
            return await (run(request) if key is None else _run_once(request, key, run))

        return handler


def turn_nonce(request: Request) -> str:
    """The turn's name in the store, derived from the request's key; empty without one."""
    return getattr(request.state, "nonce", "")


async def _run_once(request: Request, key: str, run: Handler) -> Response:
    if not (key.isascii() and key.isprintable() and 0 < len(key) <= _MAX_KEY_LENGTH):
        raise InvalidInputError("Idempotency-Key must be 1 to 255 visible ASCII characters.")
    state = cast("State", request.state.onionskin)
    principal = await state.authenticator.authenticate(request.headers)
    body = await request.body()
    user_id = request.path_params.get("user_id") or _user_in(body)
    if not user_id:
        return await run(request)  # validation reports what is missing
    user = principal.user(user_id)
    await state.pseudonyms.note(user)
    name = f"http:{_digest(principal.id, key).hex()}"
    request.state.nonce = f"turn:{_digest(principal.id, key).hex()}"
    storable = _storable(body, state.privacy_policies.strictest)
    fingerprint = _digest(request.method, str(request.url.path), request.url.query, storable)
    ttl = state.settings.model_timeout + _MARGIN
    claim = Claim(state, user, name, fingerprint, ttl)
    stored = await _claim_or_load(claim)
    if stored is None:
        return await _run_first(claim, request, run)
    if stored.fingerprint != fingerprint:
        raise KeyReusedError(
            "This Idempotency-Key was used for another request. Use a new key for each request."
        )
    if not stored.status:
        raise InFlightError(
            "The request of this Idempotency-Key is still running. Wait, then try again."
        )
    replayed = {"Idempotency-Replayed": "true"}
    if stored.body:
        return Response(stored.body, stored.status, dict(stored.headers) | replayed)
    response = await run(request)
    response.headers.update(replayed)
    return response


async def _claim_or_load(claim: Claim) -> StoredResponse | None:
    """The stored response of the key; None if the claim succeeded and the request has to run."""
    try:
        return await claim.state.store.idempotency.claim_key(
            claim.user,
            claim.name,
            StoredResponse(claim.fingerprint, token=claim.token),
            timeout=claim.ttl,
        )
    except StoreUnavailableError:
        await claim.release()  # the claim may have succeeded without a reply
        raise


async def _run_first(claim: Claim, request: Request, run: Handler) -> Response:
    state, user, name = claim.state, claim.user, claim.name
    end_renewal = claim.keep()
    try:
        response = await run(request)
    except BaseException:
        end_renewal()
        await claim.release()
        raise
    is_private = getattr(request.state, "withheld", False)
    headers = tuple(
        (name, response.headers[name]) for name in _STORED_HEADERS if name in response.headers
    )

    async def store(body: bytes, *, complete: bool) -> None:
        end_renewal()
        is_final = response.status_code < 500 and response.status_code not in _RETRYABLE  # noqa: PLR2004
        if complete and is_final and len(body) <= _MAX_STORED_BYTES:
            content = b"" if is_private else body
            outcome = StoredResponse(claim.fingerprint, response.status_code, headers, content)
            try:
                await state.store.idempotency.save_response(user, name, outcome, token=claim.token)
            except StoreUnavailableError:
                await claim.release()
                raise
        else:
            await claim.release()

    if isinstance(response, StreamingResponse):
        pieces = cast("AsyncIterator[bytes]", response.body_iterator)
        response.body_iterator = _store_stream(pieces, store)
    else:
        await store(bytes(response.body), complete=True)
    return response


async def _store_stream(
    pieces: AsyncIterator[bytes], store: Callable[..., Awaitable[None]]
) -> AsyncIterator[bytes]:
    sent: list[bytes] = []
    done = False
    try:
        async for piece in pieces:
            sent.append(piece)
            if piece.startswith(_DONE):
                done = True  # stored before the client sees it, so that a disconnect cannot undo it
                await store(b"".join(sent), complete=True)
            yield piece
    finally:
        if not done:
            with CancelScope(shield=True):  # a disconnect cancels the request
                await store(b"", complete=False)


def _user_in(body: bytes) -> str | None:
    try:
        content: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    fields = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    user_id = fields.get("user_id")
    return user_id if isinstance(user_id, str) and 0 < len(user_id) <= 256 else None  # noqa: PLR2004


def _storable(body: bytes, privacy: PrivacyPolicy) -> bytes:
    """The body without text that may not be stored, since its digest is stored."""
    try:
        content: Any = json.loads(body)
    except (ValueError, RecursionError):
        return body  # validation refuses it
    redacted = privacy.redact_json(content)
    return body if redacted == content else json.dumps(redacted).encode()


def _digest(*parts: str | bytes) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.digest()
