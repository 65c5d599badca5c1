"""Rewriting the append-only file, so that it holds only what Redis holds now."""

import asyncio
from typing import Any

from memory.store.connection import Connection

_LOOK_SECONDS = 0.05
_UNDER_WAY = ("aof_rewrite_in_progress", "aof_rewrite_scheduled")


async def compact(connection: Connection) -> None:
    """Rewrite the append-only file of a single server, and wait for the end of it."""
    await connection.call(connection.commands.bgrewriteaof())
    while True:
        told: dict[str, Any] = await connection.call(connection.commands.info("persistence"))
        if not any(told.get(one) for one in _UNDER_WAY):
            return
        await asyncio.sleep(_LOOK_SECONDS)
