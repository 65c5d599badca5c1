"""What is known of embedders, for all workers: how long their vectors are, and which is in use.

The secret under which users are named in logs: one for all workers on a Redis, drawn once.
"""

import secrets

from onionskin.memory.store import keys
from onionskin.memory.store.redis.connection import Connection

_IN_USE = "in use"


async def settled_dimensions(connection: Connection, tag: str, seen: int) -> int:
    """The dimensions of an embedder's vectors, as whoever saw the first of them settled it."""
    call, commands, name = connection.call, connection.commands, f"dimensions:{tag}"
    await call(commands.hsetnx(keys.EMBEDDERS, name, str(seen)))
    return int(await call(commands.hget(keys.EMBEDDERS, name)) or seen)


async def embedder_in_use(connection: Connection) -> str:
    """The tag of the embedder that all users were last gone through for; '' if there is none."""
    found = await connection.call(connection.commands.hget(keys.EMBEDDERS, _IN_USE))
    return (found or b"").decode()


async def note_embedder(connection: Connection, tag: str) -> None:
    """From now on it is this one."""
    await connection.call(connection.commands.hset(keys.EMBEDDERS, _IN_USE, tag.encode()))


async def pseudonym_key(connection: Connection) -> bytes:
    """32 random bytes, the same for as long as this Redis keeps its data."""
    name, commands = keys.PSEUDONYM_KEY, connection.commands
    await connection.call(commands.set(name, secrets.token_bytes(32), nx=True, px=None))
    return await connection.call(commands.get(name)) or b""
