"""Tries of one request: a client that got no answer asks again, and must find the first try."""

import time
from dataclasses import dataclass
from datetime import timedelta

from memory.store import keys
from memory.store.connection import Script
from memory.store.redis import RedisStore
from memory.types import User

_ATTEMPT = Script("attempt")
_KEPT = timedelta(minutes=30)
_YOUNG = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Try:
    """One try of a request.

    Attributes:
        request: a digest of what was asked.
        nonce: names the turn that comes of it.
    """

    request: str
    nonce: str


async def begin_try(store: RedisStore, user: User, new: Try, *, retried: bool) -> str | None:
    """Begin a try; None if it is the only one, else the nonce of the one before.

    Args:
        store: where tries are noted, for half an hour.
        user: whose request it is.
        new: the try.
        retried: the client says that it tries again. Otherwise the same request is a retry only
            within a minute, and only while nobody was there to take the first one's answer.
    """
    return await _run(store, user, "begin", new, retried=retried)


async def answer_was_told(store: RedisStore, user: User, done: Try) -> None:
    """Note that the client took the answer: who asks the same again means it."""
    await _run(store, user, "told", done)


async def end_try(store: RedisStore, user: User, failed: Try) -> None:
    """Note that a try failed: nothing of it was stored, and the next one begins anew."""
    await _run(store, user, "end", failed)


async def _run(
    store: RedisStore, user: User, step: str, one: Try, *, retried: bool = False
) -> str | None:
    found = await store.connection.run(
        _ATTEMPT,
        keys.prefix(user),
        step,
        one.request,
        one.nonce,
        _milliseconds(_KEPT),
        int(time.time() * 1000),
        int(retried),
        _milliseconds(_YOUNG),
    )
    return found.decode() if found else None


def _milliseconds(duration: timedelta) -> int:
    return int(duration.total_seconds() * 1000)
