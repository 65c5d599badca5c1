"""The SDKs' silent retries: they name no key, and count in a header. One turn is stored."""

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from chains.stored import stored_reply
from chains.turn import ChatReply
from memory.store import RedisStore
from memory.store.attempts import begin_attempt, current_attempt, end_attempt
from memory.types import User
from service.openai.schemas import CompletionRequest

_RETRY_COUNT = "x-stainless-retry-count"
_KEPT = timedelta(minutes=30)
_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a request.

    Attributes:
        request: a digest of what was asked.
        nonce: names the turn, so that it is stored once.
        known: the reply, where an earlier try was stored.
    """

    request: str
    nonce: str
    known: ChatReply | None = None


async def attempt(
    store: RedisStore,
    user: User,
    request: CompletionRequest,
    headers: Mapping[str, str],
    *,
    within: timedelta,
) -> Attempt:
    """Begin a request, or find what became of its first try.

    A try under way is waited for, as long as an answer may take.
    """
    named = headers.get("x-session-id", "")
    whole = json.dumps(request.model_dump(mode="json"), sort_keys=True) + named
    digest = hashlib.sha256(whole.encode()).hexdigest()
    count = headers.get(_RETRY_COUNT, "0")
    nonce = await current_attempt(store, user, digest) if count not in ("", "0") else None
    deadline = time.monotonic() + within.total_seconds()
    while nonce and time.monotonic() < deadline:
        if known := await stored_reply(store, user, nonce):
            return Attempt(digest, nonce, known)
        await asyncio.sleep(_LOOK_SECONDS)
        nonce = await current_attempt(store, user, digest)
    fresh = nonce or f"turn:{secrets.token_hex(16)}"
    await begin_attempt(store, user, digest, fresh, hold=_KEPT)
    return Attempt(digest, fresh)


async def failed(store: RedisStore, user: User, tried: Attempt) -> None:
    """Let the next try begin anew."""
    await end_attempt(store, user, tried.request)
