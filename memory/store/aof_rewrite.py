"""Rewrites of the append-only file, so that erased data disappear from disk as well.

Redis keeps the note that a rewrite is due until one has succeeded. If the worker that began it
dies, the next check of any worker begins another.
"""

import asyncio
import secrets
from typing import Any

from onionskin.memory.errors import StoreRefusedError
from onionskin.memory.store import keys
from onionskin.memory.store.redis.connection import Connection
from onionskin.memory.store.redis.scripts import Script

_MARK_ERASURE = Script.inline(
    """
-- Note an erasure: the append-only file is due for a rewrite, and workers drop the user's index.
-- KEYS[1] the prefix of erasures
-- ARGV    1 token of the rewrite   2 epoch of the user who was erased, or ''   3 now
--         4 seconds to keep the epoch
redis.call('SET', KEYS[1] .. 'rewrite-due', ARGV[1])
if ARGV[2] ~= '' then
  redis.call('ZREMRANGEBYSCORE', KEYS[1] .. 'epochs', '-inf', tonumber(ARGV[3]) - tonumber(ARGV[4]))
  redis.call('ZADD', KEYS[1] .. 'epochs', ARGV[3], ARGV[2])
  redis.call('EXPIRE', KEYS[1] .. 'epochs', ARGV[4])
end
return 1
""",
    durable=True,
)
_MARK_REWRITTEN = Script.inline("""
-- Note that a rewrite is done, unless another one became due in between.
-- KEYS[1] the prefix of erasures   ARGV 1 token of the rewrite
if redis.call('GET', KEYS[1] .. 'rewrite-due') == ARGV[1] then
  redis.call('DEL', KEYS[1] .. 'rewrite-due')
end
return 1
""")
_EPOCH_SECONDS = 600
_POLL_SECONDS = 0.05
_IN_PROGRESS = ("aof_rewrite_in_progress", "aof_rewrite_scheduled")


class AofRewrite:
    """Notes erasures, and rewrites the append-only file when one is due.

    Args:
        connection: The Redis whose file it is; in a cluster, the files of all primaries.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._begun = ""

    async def mark_erasure(self, *, now: float, epoch: str = "") -> None:
        """Note that data were erased.

        Args:
            now: Unix seconds.
            epoch: The epoch of a user who was erased completely; workers drop the cached index.
        """
        token = secrets.token_hex(8)
        await self._connection.run(_MARK_ERASURE, keys.ERASURES, token, epoch, now, _EPOCH_SECONDS)

    async def erased_epochs(self) -> frozenset[str]:
        """The epochs of users who were erased in the last ten minutes."""
        commands = self._connection.commands
        epochs = await self._connection.call(commands.zrange(keys.ERASED_EPOCHS, 0, -1))
        return frozenset(epoch.decode() for epoch in epochs)

    async def check(self) -> bool:
        """Begin a rewrite that is due, or note that it is done; whether one is still due.

        Raises:
            StoreRefusedError: Redis forbids it; the next attempt follows the next erasure.
            StoreUnavailableError: Redis is away.
        """
        connection = self._connection
        due = await connection.call(connection.commands.get(keys.REWRITE_DUE))
        if due is None:
            return False
        token = due.decode()
        try:
            states = await connection.on_primaries("INFO", "persistence")
            if any(map(_is_busy, states)):
                return True  # erasures since it began need another rewrite
            if self._begun == token and all(map(_has_succeeded, states)):
                return await self._done(token)
            if not any(state.get("aof_enabled") for state in states):
                return await self._done(token)
            await connection.on_primaries("BGREWRITEAOF")
        except StoreRefusedError:
            await self._done(token)
            raise
        self._begun = token
        return True

    async def run(self) -> None:
        """Rewrite the append-only file of a single server, and wait until it is done."""
        connection = self._connection
        await connection.call(connection.commands.bgrewriteaof())
        while True:
            state: dict[str, Any] = await connection.call(connection.commands.info("persistence"))
            if not _is_busy(state):
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def _done(self, token: str) -> bool:
        await self._connection.run(_MARK_REWRITTEN, keys.ERASURES, token)
        return False


def _is_busy(state: dict[str, Any]) -> bool:
    return any(state.get(name) for name in _IN_PROGRESS)


def _has_succeeded(state: dict[str, Any]) -> bool:
    return state.get("aof_last_bgrewrite_status") == "ok"
