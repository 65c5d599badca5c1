"""Requests that name themselves: done once, their answers kept for a day with the user's data.

Tries of one request: a client that got no answer asks again, and must find the first try.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec

from onionskin.memory.errors import CorruptValueError
from onionskin.memory.store import keys
from onionskin.memory.store import script_io as decode
from onionskin.memory.store.encryption.ciphers import Cipher
from onionskin.memory.store.encryption.keyring import Argument
from onionskin.memory.store.redis.scripts import Script
from onionskin.memory.store.store import IDEMPOTENCY_SECONDS, RedisStore
from onionskin.memory.types.messages import Committed, Entry, User

_ONCE, _KEEP = Script("once"), Script("keep")
_FOUND = Script("found", durable=True)
_encoder = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """What became of a request.

    Attributes:
        fingerprint: of what was asked.
        status: of the HTTP answer; 0 while it is under way.
        headers: of the answer, those that are to be sent again.
        body: of the answer.
        token: whose claim it is, while it is under way.
    """

    fingerprint: bytes
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    token: str = ""


_decoder = msgspec.msgpack.Decoder(StoredResponse)


async def claim_key(
    store: RedisStore, user: User, name: str, claim: StoredResponse, *, hold: timedelta
) -> StoredResponse | None:
    """Begin a request; None if it is this caller's to do, else what became of it."""
    packed = await store.keyring.run_write(
        user, _ONCE, _arguments(name, claim, int(hold.total_seconds() * 1000))
    )
    found = await _opened(store, user, name, packed) if packed else None
    ours = found is not None and found.token and found.token == claim.token  # sent once more
    return None if ours else found


async def _opened(store: RedisStore, user: User, name: str, packed: bytes) -> StoredResponse:
    cipher = await store.keyring.cipher_for(user, [packed])
    try:
        return _decoder.decode(cipher.open(f"once:{name}", packed))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CorruptValueError(f"A kept answer does not decode: {error}.") from error


async def save_response(store: RedisStore, user: User, name: str, outcome: StoredResponse) -> None:
    """Keep an answer, to be given again for a day."""
    arguments = _arguments(name, outcome, IDEMPOTENCY_SECONDS * 1000)
    await store.keyring.run_write(user, _KEEP, arguments)


async def release_claim(store: RedisStore, user: User, name: str, token: str) -> None:
    """Let the request be tried again: it failed. What is not claimed by `token` stays."""
    commands, call = store.connection.commands, store.connection.call
    packed = await call(commands.get(keys.once(user, name)))
    if packed and (await _opened(store, user, name, packed)).token == token:
        await call(commands.delete(keys.once(user, name)))


async def find_turn(
    store: RedisStore, user: User, nonce: str
) -> tuple[Committed, tuple[Entry, ...]] | None:
    """The turn that was committed under a nonce, and its messages; None if there is none.

    Whoever committed it may have been told that it is not safe yet, so it is waited for here.
    """
    commands, call = store.connection.commands, store.connection.call
    if not await call(commands.get(keys.once(user, nonce))):
        return None
    found = await store.connection.run(_FOUND, keys.prefix(user), nonce)
    session_id, _, first = (found or b"").decode().partition(" ")
    if not first:  # none, or one that was overtaken
        return None
    position = int(first)
    packed = await call(commands.lrange(keys.messages(user, session_id), position, position + 1))
    turn = Committed(session_id, position, position + len(packed))
    cipher = await store.keyring.cipher_for(user, packed)
    return turn, decode.entries(session_id, position, packed, cipher=cipher)


def _arguments(
    name: str, outcome: StoredResponse, milliseconds: int
) -> Callable[[Cipher], Sequence[Argument]]:
    packed = _encoder.encode(outcome)
    return lambda cipher: (name, cipher.seal(f"once:{name}", packed), milliseconds)


_ATTEMPT = Script("attempt")
_KEPT = timedelta(minutes=30)
_YOUNG = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a request.

    Attributes:
        request: a digest of what was asked.
        nonce: names the turn that comes of it.
        is_first: no other try is under way or stored: the request is this one's to do.
    """

    request: str
    nonce: str
    is_first: bool = False


async def begin_attempt(
    store: RedisStore, user: User, request: str, nonce: str, *, now: float, retried: bool
) -> Attempt:
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
    first, found = await _run(
        store, user, "begin", Attempt(request, nonce), now=now, retried=retried
    )
    return Attempt(request, found.decode(), first == b"1")


async def supersede(
    store: RedisStore, user: User, request: str, awaited: str, nonce: str, *, now: float
) -> Attempt:
    """Begin a try in the place of one that was waited for in vain, unless that is stored by now.

    Args:
        store: where tries are noted.
        user: whose request it is.
        request: a digest of what is asked.
        awaited: the nonce of the try under way, which is not stored from here on.
        nonce: for the one that takes its place.
        now: Unix seconds.
    """
    done = Attempt(request, nonce)
    first, found = await _run(store, user, "overtake", done, now=now, retried=True, awaited=awaited)
    return Attempt(request, found.decode(), first == b"1")


async def mark_delivered(store: RedisStore, user: User, done: Attempt) -> None:
    """Note that the client took the answer: who asks the same again means it."""
    await _run(store, user, "told", done)


async def mark_failed(store: RedisStore, user: User, failed: Attempt) -> None:
    """Note that a try failed: the next one takes its place."""
    await _run(store, user, "failed", failed)


async def _run(
    store: RedisStore,
    user: User,
    step: str,
    one: Attempt,
    *,
    now: float = 0,
    retried: bool = False,
    awaited: str = "",
) -> Any:
    return await store.keyring.run_write(
        user,
        _ATTEMPT,
        lambda cipher: (
            step,
            cipher.blind_index("try", one.request),
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
