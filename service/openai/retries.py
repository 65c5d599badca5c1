"""The SDKs' silent retries: they name no key, and count in a header. One turn is stored."""

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from onionskin.chains.turn import TurnReply, stored_reply
from onionskin.memory.store import RedisStore
from onionskin.memory.store.idempotency import (
    Attempt,
    begin_attempt,
    mark_delivered,
    mark_failed,
    supersede,
)
from onionskin.memory.types.messages import User
from onionskin.service.openai.schemas import CompletionRequest

_RETRY_COUNT, _KEY = "x-stainless-retry-count", "idempotency-key"
_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class RequestAttempt:
    """A request that is being tried.

    Attributes:
        tried: what names it.
        known: the reply, where an earlier try was stored.
    """

    store: RedisStore
    user: User
    tried: Attempt
    known: TurnReply | None = None

    async def told(self) -> None:
        """The client took the answer: who asks the same again wants another one."""
        await mark_delivered(self.store, self.user, self.tried)

    async def failed(self) -> None:
        """Nothing is known to be stored: let the next try begin anew."""
        await mark_failed(self.store, self.user, self.tried)

    @asynccontextmanager
    async def given_up_on_failure(self) -> AsyncGenerator[None]:
        """However the request ends, no retry waits for it in vain."""
        try:
            yield
        except BaseException:
            await self.failed()
            raise


async def attempt(
    store: RedisStore,
    user: User,
    request: CompletionRequest,
    headers: Mapping[str, str],
    *,
    within: timedelta,
    keep: Callable[[Any], Any],
) -> RequestAttempt:
    """Begin a request, or find what became of its first try.

    A try under way is waited for, as long as an answer may take; then this one takes its place, and
    the other is not stored any more. Requests that differ in nothing but what
    `keep` leaves out are the same: their digest is stored, and tells nothing of it.
    """
    key = headers.get(_KEY, "")
    retried = bool(key) or headers.get(_RETRY_COUNT, "0") not in ("", "0")
    digest = _digest(keep(request.model_dump(mode="json")), headers, key)
    deadline = time.monotonic() + within.total_seconds()
    tried = await begin_attempt(store, user, digest, _nonce(), now=time.time(), retried=retried)
    while not tried.is_first:
        if known := await stored_reply(store, user, tried.nonce):
            return RequestAttempt(store, user, tried, known)
        if time.monotonic() > deadline:
            tried = await supersede(store, user, digest, tried.nonce, _nonce(), now=time.time())
            continue
        await asyncio.sleep(_LOOK_SECONDS)
        tried = await begin_attempt(store, user, digest, _nonce(), now=time.time(), retried=True)
    return RequestAttempt(store, user, tried)


def _nonce() -> str:
    return f"turn:{secrets.token_hex(16)}"


def _digest(asked: Any, headers: Mapping[str, str], key: str) -> str:
    whole = json.dumps([asked, headers.get("x-session-id", ""), key], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()
