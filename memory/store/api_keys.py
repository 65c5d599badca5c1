"""API keys in Redis: hashed, listed by id. They belong to tenants, not to users."""

import hashlib
import secrets
from dataclasses import dataclass

import msgspec

from onionskin.memory.errors import CorruptValueError
from onionskin.memory.store import keys
from onionskin.memory.store.redis.connection import Connection

_PREFIX = "sk-onionskin"
_encoder = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of a key.

    Attributes:
        digest: SHA-256 of the secret, which has 256 random bits and so needs no slow hash.
        user_id: the one user that it reaches; None for the scope `admin`.
        created: Unix seconds.
    """

    id: str
    digest: bytes
    tenant: str
    user_id: str | None
    name: str
    created: float

    @property
    def scope(self) -> str:
        """`admin` or `user`."""
        return "admin" if self.user_id is None else "user"


_decoder = msgspec.msgpack.Decoder(ApiKey)


async def create_key(
    connection: Connection, *, tenant: str, user_id: str | None, name: str, now: float
) -> tuple[ApiKey, str]:
    """Make a key; what is returned beside it is shown once and stored nowhere."""
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    key = ApiKey(key_id, _digest(secret), tenant, user_id, name, now)
    await connection.write("HSET", keys.API_KEYS, key_id, _encoder.encode(key))
    return key, f"{_PREFIX}-{key_id}-{secret}"


async def find_key(connection: Connection, shown: str) -> ApiKey | None:
    """The key of what a client shows; None if there is none such, or it was revoked."""
    parts = shown.removeprefix(f"{_PREFIX}-").partition("-")
    if not shown.startswith(f"{_PREFIX}-") or not parts[2]:
        return None
    packed = await connection.call(connection.commands.hget(keys.API_KEYS, parts[0]))
    key = _unpacked(packed) if packed else None
    return key if key and secrets.compare_digest(key.digest, _digest(parts[2])) else None


async def list_keys(connection: Connection) -> list[ApiKey]:
    """Every key, the oldest first."""
    found = await connection.call(connection.commands.hvals(keys.API_KEYS))
    return sorted(map(_unpacked, found), key=lambda key: key.created)


async def revoke_key(connection: Connection, key_id: str) -> bool:
    """Revoke a key; whether there was one."""
    return bool(await connection.write("HDEL", keys.API_KEYS, key_id))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _unpacked(packed: bytes) -> ApiKey:
    try:
        return _decoder.decode(packed)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CorruptValueError(f"A stored API key does not decode: {error}.") from error
