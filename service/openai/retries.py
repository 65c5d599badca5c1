"""Retries of OpenAI's SDKs: recognized without an idempotency key, so that one turn is stored.

The SDKs count retries in the header `x-stainless-retry-count`.
"""

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
from onionskin.memory.store import Attempt, RedisStore
from onionskin.memory.types.messages import User
from onionskin.service.openai.schemas import CompletionRequest

_RETRY_COUNT, _KEY = "x-stainless-retry-count", "idempotency-key"
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class RequestAttempt:
    """An attempt at a request.

    Attributes:
        attempt: The attempt as it is stored.
        stored: The reply, if an earlier attempt has stored the turn.
    """

    store: RedisStore
    user: User
    attempt: Attempt
    stored: TurnReply | None = None

    @property
    def nonce(self) -> str:
        """Identifies the turn in the store."""
        return self.attempt.nonce

    async def mark_delivered(self) -> None:
        """Note that the client has the answer: the same request again is a new turn."""
        await self.store.idempotency.mark_delivered(self.user, self.attempt)

    async def mark_failed(self) -> None:
        """Note that nothing was stored, so that the next attempt starts from the beginning."""
        await self.store.idempotency.mark_failed(self.user, self.attempt)

    @asynccontextmanager
    async def failing_on_error(self) -> AsyncGenerator[None]:
        """Mark the attempt as failed if the block raises, so that no retry waits for it."""
        try:
            yield
        except BaseException:
            await self.mark_failed()
            raise


async def begin(
    store: RedisStore,
    user: User,
    request: CompletionRequest,
    headers: Mapping[str, str],
    *,
    timeout: timedelta,
    redact: Callable[[Any], Any],
) -> RequestAttempt:
    """Begin a request, or find the stored reply of an earlier attempt.

    If another attempt is running, wait for it up to `timeout`; then this attempt supersedes it,
    and the other one can no longer store the turn.

    Args:
        store: The store.
        user: The user.
        request: The request.
        headers: Its HTTP headers.
        timeout: Time limit for the running attempt.
        redact: Removes private text. Requests that are equal after it count as the same request;
            only a digest of the result is stored.
    """
    key = headers.get(_KEY, "")
    is_retry = bool(key) or headers.get(_RETRY_COUNT, "0") not in ("", "0")
    body = request.model_dump(mode="json", exclude={"stream", "stream_options"})
    digest = _digest(redact(body), headers, key)
    deadline = time.monotonic() + timeout.total_seconds()
    attempt = await store.idempotency.begin_attempt(
        user, digest, _nonce(), now=time.time(), retried=is_retry
    )
    while not attempt.is_first:
        if reply := await stored_reply(store, user, attempt.nonce):
            return RequestAttempt(store, user, attempt, reply)
        if time.monotonic() > deadline:
            attempt = await store.idempotency.supersede(
                user, digest, attempt.nonce, _nonce(), now=time.time()
            )
            continue
        await asyncio.sleep(_POLL_SECONDS)
        attempt = await store.idempotency.begin_attempt(
            user, digest, _nonce(), now=time.time(), retried=True
        )
    return RequestAttempt(store, user, attempt)


def _nonce() -> str:
    return f"turn:{secrets.token_hex(16)}"


def _digest(body: Any, headers: Mapping[str, str], key: str) -> str:
    whole = json.dumps([body, headers.get("x-session-id", ""), key], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()
