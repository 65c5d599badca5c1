"""API keys: hashed in Redis, listed by id. They belong to tenants."""

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
    """The stored form of an API key.

    Attributes:
        digest: SHA-256 of the secret. The secret has 256 random bits, so a fast hash is enough.
        user_id: The one user that the key gives access to; None for the scope `admin`.
        created, expires: Unix seconds; it never expires if None.
    """

    id: str
    digest: bytes
    tenant: str
    user_id: str | None
    name: str
    created: float
    expires: float | None = None

    @property
    def scope(self) -> str:
        """`admin` or `user`."""
        return "admin" if self.user_id is None else "user"


_decoder = msgspec.msgpack.Decoder(ApiKey)


class ApiKeyRegistry:
    """The API keys of all tenants.

    Args:
        connection: The connection to Redis.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def create(
        self,
        *,
        tenant: str,
        user_id: str | None,
        name: str,
        now: float,
        expires: float | None = None,
    ) -> tuple[ApiKey, str]:
        """Create a key; returns it with the text for the client, which is stored nowhere."""
        key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        key = ApiKey(key_id, _digest(secret), tenant, user_id, name, now, expires)
        await self._connection.write("HSET", keys.API_KEYS, key_id, _encoder.encode(key))
        return key, f"{_PREFIX}-{key_id}-{secret}"

    async def find(self, text: str) -> ApiKey | None:
        """The key that a client sent; None if it is unknown or revoked."""
        parts = text.removeprefix(f"{_PREFIX}-").partition("-")
        if not text.startswith(f"{_PREFIX}-") or not parts[2]:
            return None
        commands = self._connection.commands
        packed = await self._connection.call(commands.hget(keys.API_KEYS, parts[0]))
        key = _unpack(packed) if packed else None
        return key if key and secrets.compare_digest(key.digest, _digest(parts[2])) else None

    async def list(self) -> list[ApiKey]:
        """Every key, the oldest first."""
        packed = await self._connection.call(self._connection.commands.hvals(keys.API_KEYS))
        return sorted(map(_unpack, packed), key=lambda key: key.created)

    async def revoke(self, key_id: str) -> bool:
        """Revoke a key; whether there was one."""
        return bool(await self._connection.write("HDEL", keys.API_KEYS, key_id))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _unpack(packed: bytes) -> ApiKey:
    try:
        return _decoder.decode(packed)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CorruptValueError(f"A stored API key does not decode: {error}.") from error
