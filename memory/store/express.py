"""Scripts of every turn, past a pool's book-keeping: on connections that are kept at hand."""

from collections.abc import Callable
from typing import Any, cast

import hiredis
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.exceptions import ConnectionError, ResponseError  # noqa: A004

from memory.store.commands import Commands

_MOST_IDLE = 16
"""The others go back to the pool, which has connections for so many commands at once."""


class Express:
    """Commands to one server. The few connections that it keeps at hand close with the client.

    Args:
        client: whose pool the connections are taken from, and stay taken.
    """

    def __init__(self, client: Commands) -> None:
        self._client: Any = client
        self._idle: list[AbstractConnection] = []

    async def execute(self, *command: str | bytes | float) -> Any:
        """What the server answers.

        A connection that broke while it was idle is not the command's fault: then it goes the
        client's way, which connects and tries again. So every command may be sent twice.

        Raises:
            RedisError: as the client raises it.
        """
        pool = self._client.connection_pool
        connection: Any = self._idle.pop() if self._idle else await pool.get_connection()
        try:
            return await _answer(connection, command)
        except (ConnectionError, RuntimeError):  # uvloop's word for one that has just broken
            await connection.disconnect(nowait=True)
        finally:
            await self._keep(connection)
        return await self._client.execute_command(*command)

    async def _keep(self, connection: AbstractConnection) -> None:
        if len(self._idle) < _MOST_IDLE:
            self._idle.append(connection)
        else:
            await self._client.connection_pool.release(connection)


def is_one_server(client: Commands) -> bool:
    """Whether a client asks one server, always the same."""
    if not isinstance(client, Redis):
        return False
    return not isinstance(cast("Any", client).connection_pool, SentinelConnectionPool)


_packed: Callable[[tuple[str | bytes | float, ...]], bytes] = cast("Any", hiredis).pack_command


async def _answer(connection: Any, command: tuple[str | bytes | float, ...]) -> Any:
    try:
        await connection.send_packed_command(_packed(command))
        return await connection.read_response()
    except ResponseError:
        raise
    except BaseException:  # cancelled, say: what comes late must not be the next one's answer
        await connection.disconnect(nowait=True)
        raise
