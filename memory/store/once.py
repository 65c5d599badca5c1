"""Requests that name themselves: done once, their answers kept for a day with the user's data."""

from dataclasses import dataclass
from datetime import timedelta

import msgspec

from memory.errors import CorruptValueError
from memory.store import decode, keys
from memory.store.connection import Script
from memory.store.redis import IDEMPOTENCY_SECONDS, RedisStore
from memory.types import Committed, Entry, User

_ONCE = Script("once")
_encoder = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request.

    Attributes:
        fingerprint: of what was asked.
        status: of the HTTP answer; 0 while it is under way.
        headers: of the answer, those that are to be sent again.
        body: of the answer.
    """

    fingerprint: bytes
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


_decoder = msgspec.msgpack.Decoder(Outcome)


async def claim_request(
    store: RedisStore, user: User, name: str, fingerprint: bytes, *, hold: timedelta
) -> Outcome | None:
    """Begin a request; None if it is this caller's to do, else what became of it."""
    packed = await store.connection.run(
        _ONCE,
        keys.prefix(user),
        name,
        _encoder.encode(Outcome(fingerprint)),
        int(hold.total_seconds() * 1000),
    )
    if not packed:
        return None
    try:
        return _decoder.decode(packed)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CorruptValueError(f"A kept answer does not decode: {error}.") from error


async def keep_outcome(store: RedisStore, user: User, name: str, outcome: Outcome) -> None:
    """Keep an answer, to be given again for a day."""
    commands, milliseconds = store.connection.commands, IDEMPOTENCY_SECONDS * 1000
    key = keys.once(user, name)
    await store.connection.call(
        commands.set(key, _encoder.encode(outcome), nx=False, px=milliseconds)
    )


async def forget_request(store: RedisStore, user: User, name: str) -> None:
    """Let the request be tried again: it failed, and nothing was stored."""
    await store.connection.call(store.connection.commands.delete(keys.once(user, name)))


async def find_turn(
    store: RedisStore, user: User, nonce: str
) -> tuple[Committed, tuple[Entry, ...]] | None:
    """The turn that was committed under a nonce, and its messages; None if there is none."""
    commands, call = store.connection.commands, store.connection.call
    found = await call(commands.get(keys.once(user, nonce)))
    if not found:
        return None
    session_id, _, first = found.decode().partition(" ")
    position = int(first)
    packed = await call(commands.lrange(keys.messages(user, session_id), position, position + 1))
    turn = Committed(session_id, position, position + len(packed))
    return turn, decode.entries(session_id, position, packed)
