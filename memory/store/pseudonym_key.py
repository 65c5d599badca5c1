"""The secret under which users are named in logs: one for all workers on a Redis, drawn once."""

import secrets

from memory.store import keys
from memory.store.connection import Connection


async def pseudonym_key(connection: Connection) -> bytes:
    """32 random bytes, the same for as long as this Redis keeps its data."""
    name, commands = keys.PSEUDONYM_KEY, connection.commands
    await connection.call(commands.set(name, secrets.token_bytes(32), nx=True, px=None))
    return await connection.call(commands.get(name)) or b""
