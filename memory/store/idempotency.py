"""Idempotency: stored responses of requests that carry a key, and attempts of repeated requests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec

from onionskin.memory.errors import CorruptValueError
from onionskin.memory.store import keys
from onionskin.memory.store.encryption.ciphers import Cipher
from onionskin.memory.store.encryption.keyring import Argument
from onionskin.memory.store.redis.scripts import Script
from onionskin.memory.store.repository import Repository
from onionskin.memory.store.script_io import parse_entries
from onionskin.memory.store.transcripts import IDEMPOTENCY_SECONDS
from onionskin.memory.types.messages import Committed, Entry, User

CLAIM_KEY = Script.inline("""
-- Claim an idempotency key; false if it is free, else what is stored under it.
-- KEYS[1] the user's prefix   ARGV 1 idempotency key   2 claim   3 milliseconds to keep it
--         4 token of the claim
local key = KEYS[1] .. 'once:' .. ARGV[1]
local stored = redis.call('GET', key)
if stored then
  return stored
end
redis.call('SET', key, ARGV[2], 'PX', ARGV[3])
if ARGV[4] then
  redis.call('SET', KEYS[1] .. 'once:owner:' .. ARGV[1], ARGV[4], 'PX', ARGV[3])
end
return false
""")
_SAVE_RESPONSE = Script.inline("""
-- Store the response of a request under its idempotency key, while its claim holds the key.
-- KEYS[1] the user's prefix   ARGV 1 idempotency key   2 response   3 milliseconds to keep it
--         4 token of the claim
-- Returns 0 if another request holds the key.
local owner = KEYS[1] .. 'once:owner:' .. ARGV[1]
if redis.call('GET', owner) ~= ARGV[4] then
  return 0
end
redis.call('SET', KEYS[1] .. 'once:' .. ARGV[1], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', owner)
return 1
""")
_RENEW_CLAIM = Script.inline("""
-- Extend a claim, or release it, while it holds its key.
-- KEYS[1] the user's prefix   ARGV 1 idempotency key   2 token of the claim   3 milliseconds to
--         keep it; 0 releases it
-- Returns 0 if another request holds the key.
local key, owner = KEYS[1] .. 'once:' .. ARGV[1], KEYS[1] .. 'once:owner:' .. ARGV[1]
if redis.call('GET', owner) ~= ARGV[2] then
  return 0
end
if ARGV[3] == '0' then
  redis.call('DEL', key, owner)
else
  redis.call('PEXPIRE', key, ARGV[3])
  redis.call('PEXPIRE', owner, ARGV[3])
end
return 1
""")
_FIND_COMMIT = Script.inline(
    """
-- The position of a commit. A script, because it waits for replicas: the worker that committed
-- may not know that they have it.
-- KEYS[1] the user's prefix   ARGV 1 nonce
return redis.call('GET', KEYS[1] .. 'once:' .. ARGV[1])
""",
    durable=True,
)
_BEGIN_ATTEMPT = Script("begin_attempt")
_ATTEMPT_TTL = timedelta(minutes=30)
_RETRY_WINDOW = timedelta(seconds=60)
_encoder = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """The response that is stored under an idempotency key, or the claim of a running request.

    Attributes:
        fingerprint: A digest of the request.
        status: The HTTP status; 0 while the request runs.
        headers: The response headers that a replay repeats.
        body: The response body.
        token: Identifies the claim while the request runs.
    """

    fingerprint: bytes
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    token: str = ""


_decoder = msgspec.msgpack.Decoder(StoredResponse)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a request.

    Attributes:
        request: A digest of the request.
        nonce: The nonce of the turn that the attempt commits.
        is_first: Whether this attempt does the work: no other one runs or is stored.
        replaces_failed: Whether it replaces an attempt that failed or timed out.
    """

    request: str
    nonce: str
    is_first: bool = False
    replaces_failed: bool = False


class Idempotency(Repository):
    """Claims, stored responses and attempts of a user's requests."""

    async def claim_key(
        self, user: User, name: str, claim: StoredResponse, *, timeout: timedelta
    ) -> StoredResponse | None:
        """Claim a key; None if the caller owns it now, else the stored response or claim."""
        milliseconds = int(timeout.total_seconds() * 1000)
        packed = await self._keyring.run_write(
            user, CLAIM_KEY, _arguments(name, claim, milliseconds, claim.token)
        )
        stored = await self._decrypt(user, name, packed) if packed else None
        is_ours = stored is not None and stored.token and stored.token == claim.token  # sent twice
        return None if is_ours else stored

    async def save_response(
        self, user: User, name: str, response: StoredResponse, *, token: str
    ) -> bool:
        """Store a response, to be replayed for a day; False if the claim `token` was lost."""
        arguments = _arguments(name, response, IDEMPOTENCY_SECONDS * 1000, token)
        return bool(await self._keyring.run_write(user, _SAVE_RESPONSE, arguments))

    async def renew_claim(self, user: User, name: str, token: str, *, timeout: timedelta) -> bool:
        """Extend the claim of a running request; False if it was lost."""
        milliseconds = max(1, int(timeout.total_seconds() * 1000))
        arguments = (keys.prefix(user), name, token, milliseconds)
        return bool(await self._connection.run(_RENEW_CLAIM, *arguments))

    async def release_claim(self, user: User, name: str, token: str) -> None:
        """Release the claim of a failed request if `token` still holds it."""
        await self._connection.run(_RENEW_CLAIM, keys.prefix(user), name, token, 0)

    async def find_turn(self, user: User, nonce: str) -> tuple[Committed, tuple[Entry, ...]] | None:
        """The turn that was committed under a nonce, with its messages; None if there is none.

        Waits for replicas like the commit itself, because that one may have failed to reach them.
        """
        if not await self._call(self._commands.get(keys.idempotency(user, nonce))):
            return None
        position = await self._connection.run(_FIND_COMMIT, keys.prefix(user), nonce)
        session_id, *numbers = (position or b"").decode().split(" ")
        if not numbers:  # expired, or superseded by a later attempt
            return None
        start, turn_position, count = map(int, numbers)
        packed = await self._call(
            self._commands.lrange(keys.messages(user, session_id), start, start + count - 1)
        )
        turn = Committed(session_id, start, start + len(packed), turn_position=turn_position)
        cipher = await self._keyring.cipher_for(user, packed)
        return turn, parse_entries(session_id, start, packed, cipher=cipher)

    async def begin_attempt(
        self, user: User, request: str, nonce: str, *, now: float, retried: bool
    ) -> Attempt:
        """Begin an attempt, or find the one that the request repeats.

        Args:
            user: The user who sends the request.
            request: A digest of the request.
            nonce: The nonce for a first attempt.
            now: Unix seconds.
            retried: Whether the client declares a retry. Otherwise an equal request counts as one
                only within a minute, while no client has received the first response, or once
                after a retry that arrived before the attempt that it repeats.
        """
        attempt = Attempt(request, nonce)
        reply = await self._step(user, "begin", attempt, now=now, retried=retried)
        return _attempt(request, reply)

    async def supersede(
        self, user: User, request: str, awaited: str, nonce: str, *, now: float
    ) -> Attempt:
        """Replace an attempt that timed out, unless its turn is stored by now.

        Args:
            user: The user who sends the request.
            request: A digest of the request.
            awaited: The nonce of the running attempt; from now on its commit is refused.
            nonce: The nonce of the attempt that replaces it.
            now: Unix seconds.
        """
        attempt = Attempt(request, nonce)
        reply = await self._step(user, "overtake", attempt, now=now, retried=True, awaited=awaited)
        return _attempt(request, reply)

    async def mark_delivered(self, user: User, attempt: Attempt) -> None:
        """Note that the client received the response: an equal request later is a new one."""
        await self._step(user, "delivered", attempt)

    async def mark_failed(self, user: User, attempt: Attempt) -> None:
        """Note that an attempt failed: the next one replaces it."""
        await self._step(user, "failed", attempt)

    async def _decrypt(self, user: User, name: str, packed: bytes) -> StoredResponse:
        cipher = await self._keyring.cipher_for(user, [packed])
        try:
            return _decoder.decode(cipher.decrypt(f"once:{name}", packed))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise CorruptValueError(f"A stored response does not decode: {error}.") from error

    async def _step(
        self,
        user: User,
        step: str,
        attempt: Attempt,
        *,
        now: float = 0,
        retried: bool = False,
        awaited: str = "",
    ) -> Any:
        return await self._keyring.run_write(
            user,
            _BEGIN_ATTEMPT,
            lambda cipher: (
                step,
                cipher.blind_index("try", attempt.request),
                attempt.nonce,
                _milliseconds(_ATTEMPT_TTL),
                int(now * 1000),
                int(retried),
                _milliseconds(_RETRY_WINDOW),
                awaited,
            ),
        )


def _attempt(request: str, reply: list[bytes]) -> Attempt:
    first, nonce, *replaces = reply
    return Attempt(request, nonce.decode(), first == b"1", bool(replaces))


def _arguments(
    name: str, response: StoredResponse, milliseconds: int, token: str
) -> Callable[[Cipher], Sequence[Argument]]:
    packed = _encoder.encode(response)
    return lambda cipher: (name, cipher.encrypt(f"once:{name}", packed), milliseconds, token)


def _milliseconds(duration: timedelta) -> int:
    return int(duration.total_seconds() * 1000)
