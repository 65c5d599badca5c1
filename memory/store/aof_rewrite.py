"""What was erased, told to all workers, and taken out of the append-only file by a rewrite of it.

That a rewrite is due stands in Redis until it has succeeded: whoever dies meanwhile, the next look
of any worker sees to it.

Rewriting the append-only file, so that it holds only what Redis holds now.
"""

import asyncio
import secrets
from typing import Any

from onionskin.memory.errors import StoreRefusedError
from onionskin.memory.store import keys
from onionskin.memory.store.redis.connection import Connection
from onionskin.memory.store.redis.scripts import Script

_ERASED, _REWRITTEN = Script("erased", durable=True), Script("rewritten")
_TOLD_SECONDS = 600


async def mark_erasure(connection: Connection, *, now: float, epoch: str = "") -> None:
    """Note that something was erased, and whose views are not to be kept any more.

    Args:
        connection: to where it was erased.
        now: Unix seconds.
        epoch: that of a user who was erased whole: a random name, which nobody bears any more.
    """
    token = secrets.token_hex(8)
    await connection.run(_ERASED, keys.ERASURES, token, epoch, now, _TOLD_SECONDS)


async def erased_epochs(connection: Connection) -> frozenset[str]:
    """The epochs of users who were erased in the last ten minutes."""
    found = await connection.call(connection.commands.zrange(keys.ERASED_EPOCHS, 0, -1))
    return frozenset(one.decode() for one in found)


class AofRewriter:
    """Has the append-only file rewritten where that is due.

    Args:
        connection: to the Redis whose file it is; of a cluster, the files of all primaries.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._begun = ""

    async def look(self) -> bool:
        """Begin a rewrite that is due, or see whether it is done.

        Returns:
            Whether one is due still.

        Raises:
            StoreRefusedError: Redis does not permit it; nobody tries again until more is erased.
            StoreUnavailableError: Redis is away.
        """
        connection = self._connection
        due = await connection.call(connection.commands.get(keys.REWRITE_DUE))
        if due is None:
            return False
        token = due.decode()
        try:
            states = await connection.on_primaries("INFO", "persistence")
            if any(_is_busy(state) for state in states):
                return True  # of what was erased since it began, the next one is due
            if self._begun == token and all(map(_is_fine, states)):
                return await self._done(token)
            if not any(state.get("aof_enabled") for state in states):
                return await self._done(token)
            await connection.on_primaries("BGREWRITEAOF")
        except StoreRefusedError:
            await self._done(token)
            raise
        self._begun = token
        return True

    async def _done(self, token: str) -> bool:
        await self._connection.run(_REWRITTEN, keys.ERASURES, token)
        return False


def _is_busy(state: dict[str, Any]) -> bool:
    return bool(state.get("aof_rewrite_in_progress") or state.get("aof_rewrite_scheduled"))


def _is_fine(state: dict[str, Any]) -> bool:
    return state.get("aof_last_bgrewrite_status") == "ok"


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
