"""Requests that name themselves: done once, their answers kept for a day with the user's data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import msgspec

from memory.errors import CorruptValueError
from memory.store import decode, keys
from memory.store.keyring import Argument
from memory.store.redis import IDEMPOTENCY_SECONDS, RedisStore
from memory.store.scripts import Script
from memory.store.sealing import Cipher
from memory.types import Committed, Entry, User

_ONCE, _KEEP = Script("once"), Script("keep")
_FOUND = Script("found", lasts=True)
_encoder = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True)
class Outcome:
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


_decoder = msgspec.msgpack.Decoder(Outcome)


async def claim_request(
    store: RedisStore, user: User, name: str, claim: Outcome, *, hold: timedelta
) -> Outcome | None:
    """Begin a request; None if it is this caller's to do, else what became of it."""
    packed = await store.keyring.write(
        user, _ONCE, _arguments(name, claim, int(hold.total_seconds() * 1000))
    )
    found = await _opened(store, user, name, packed) if packed else None
    ours = found is not None and found.token and found.token == claim.token  # sent once more
    return None if ours else found


async def _opened(store: RedisStore, user: User, name: str, packed: bytes) -> Outcome:
    cipher = await store.keyring.cipher(user, [packed])
    try:
        return _decoder.decode(cipher.open(f"once:{name}", packed))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CorruptValueError(f"A kept answer does not decode: {error}.") from error


async def keep_outcome(store: RedisStore, user: User, name: str, outcome: Outcome) -> None:
    """Keep an answer, to be given again for a day."""
    arguments = _arguments(name, outcome, IDEMPOTENCY_SECONDS * 1000)
    await store.keyring.write(user, _KEEP, arguments)


async def forget_claim(store: RedisStore, user: User, name: str, token: str) -> None:
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
    cipher = await store.keyring.cipher(user, packed)
    return turn, decode.entries(session_id, position, packed, cipher=cipher)


def _arguments(
    name: str, outcome: Outcome, milliseconds: int
) -> Callable[[Cipher], Sequence[Argument]]:
    packed = _encoder.encode(outcome)
    return lambda cipher: (name, cipher.seal(f"once:{name}", packed), milliseconds)
