"""Tries of one request: a client that got no answer asks again, and must find the first try."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from memory.store.redis import RedisStore
from memory.store.scripts import Script
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
        is_first: no other try is under way or stored: the request is this one's to do.
    """

    request: str
    nonce: str
    is_first: bool = False


async def begin_try(
    store: RedisStore, user: User, request: str, nonce: str, *, now: float, retried: bool
) -> Try:
    """Begin a try, or find the one before.

    Args:
        store: where tries are noted, for half an hour.
        user: whose request it is.
        request: a digest of what is asked.
        nonce: for a try that is the first.
        now: Unix seconds.
        retried: the client says that it tries again. Otherwise the same request is a retry only
            within a minute, and only while nobody was there to take the first one's answer, or
            once after a retry that came before what it is a retry of.
    """
    first, found = await _run(store, user, "begin", Try(request, nonce), now=now, retried=retried)
    return Try(request, found.decode(), first == b"1")


async def overtake_try(
    store: RedisStore, user: User, request: str, awaited: str, nonce: str, *, now: float
) -> Try:
    """Begin a try in the place of one that was waited for in vain, unless that is stored by now.

    Args:
        store: where tries are noted.
        user: whose request it is.
        request: a digest of what is asked.
        awaited: the nonce of the try under way, which is not stored from here on.
        nonce: for the one that takes its place.
        now: Unix seconds.
    """
    done = Try(request, nonce)
    first, found = await _run(store, user, "overtake", done, now=now, retried=True, awaited=awaited)
    return Try(request, found.decode(), first == b"1")


async def answer_was_told(store: RedisStore, user: User, done: Try) -> None:
    """Note that the client took the answer: who asks the same again means it."""
    await _run(store, user, "told", done)


async def try_failed(store: RedisStore, user: User, failed: Try) -> None:
    """Note that a try failed: the next one takes its place."""
    await _run(store, user, "failed", failed)


async def _run(
    store: RedisStore,
    user: User,
    step: str,
    one: Try,
    *,
    now: float = 0,
    retried: bool = False,
    awaited: str = "",
) -> Any:
    return await store.keyring.write(
        user,
        _ATTEMPT,
        lambda cipher: (
            step,
            cipher.mask("try", one.request),
            one.nonce,
            _milliseconds(_KEPT),
            int(now * 1000),
            int(retried),
            _milliseconds(_YOUNG),
            awaited,
        ),
    )


def _milliseconds(duration: timedelta) -> int:
    return int(duration.total_seconds() * 1000)
