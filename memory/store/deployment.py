"""Facts of the whole deployment: embedder dimensions, the embedder in use, the pseudonym key."""

import secrets

from onionskin.memory.errors import StoreRefusedError
from onionskin.memory.store import keys
from onionskin.memory.store.redis.connection import Connection

_IN_USE = "in use"


class Deployment:
    """Values that all workers on one Redis share.

    Args:
        connection: The connection to Redis.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._call, self._commands = connection.call, connection.commands

    async def dimensions(self, tag: str, measured: int) -> int:
        """The dimensions of an embedder's vectors: those that the first worker measured."""
        field = f"dimensions:{tag}"
        await self._call(self._commands.hsetnx(keys.EMBEDDERS, field, str(measured)))
        return int(await self._call(self._commands.hget(keys.EMBEDDERS, field)) or measured)

    async def embedder(self) -> str:
        """The tag of the embedder that all users were last embedded with; '' if there is none."""
        tag = await self._call(self._commands.hget(keys.EMBEDDERS, _IN_USE))
        return (tag or b"").decode()

    async def set_embedder(self, tag: str) -> None:
        """Note the embedder that all users are embedded with."""
        await self._call(self._commands.hset(keys.EMBEDDERS, _IN_USE, tag.encode()))

    async def pseudonym_key(self) -> bytes:
        """32 random bytes that stay the same as long as this Redis keeps its data."""
        name, key = keys.PSEUDONYM_KEY, secrets.token_bytes(32)
        await self._call(self._commands.set(name, key, nx=True, px=None))
        return await self._call(self._commands.get(name)) or b""

    async def server_name(self) -> str:
        """The server's name and version, such as `Valkey 9.0.1`; '' where INFO is forbidden.

        Raises:
            StoreUnavailableError: Redis is away.
        """
        try:
            info, *_ = await self._connection.on_primaries("INFO", "server")
        except StoreRefusedError:
            return ""
        if version := info.get("valkey_version"):
            return f"Valkey {version}"
        return f"Redis {info['redis_version']}" if "redis_version" in info else ""
