"""Which server it is all stored on."""

from memory.errors import StoreRefusedError
from memory.store.connection import Connection


async def server_name(connection: Connection) -> str:
    """The server's name and version, such as `Valkey 9.0.1`; empty where it may not be asked.

    Raises:
        StoreUnavailableError: Redis is away.
    """
    try:
        told, *_ = await connection.on_primaries("INFO", "server")
    except StoreRefusedError:
        return ""
    if version := told.get("valkey_version"):
        return f"Valkey {version}"
    return f"Redis {told['redis_version']}" if "redis_version" in told else ""
