"""One way to Redis, whatever stands there, with Onionskin's errors.

Scripts of every turn, past a pool's book-keeping: on connections that are kept at hand.

Which server it is all stored on.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar, cast

import hiredis
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    ClusterError,
    ConnectionError,  # noqa: A004
    MovedError,
    NoScriptError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TimeoutError,  # noqa: A004
    TryAgainError,
)

from onionskin.memory.errors import StoreRefusedError, StoreUnavailableError
from onionskin.memory.store import keys
from onionskin.memory.store.redis.client import Closable, Commands, create_client
from onionskin.memory.store.redis.durability import Durability, DurableWriter
from onionskin.memory.store.redis.scripts import Script

_SCAN_COUNT = 1000
_MOST_IDLE = 16
"""The others go back to the pool, which has connections for so many commands at once."""


class PinnedConnections:
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


_AWAY = (
    ConnectionError,
    TimeoutError,
    BusyLoadingError,
    ClusterDownError,
    ClusterError,
    ReadOnlyError,
    RedisClusterException,
    AskError,
    MovedError,
    TryAgainError,
    OSError,
)
_PASSING = ("NOREPLICAS", "UNBLOCKED")
"""What a server says that has too few replicas, or has just ceased to be a primary."""
_BROKEN = ("the handler is closed", "'NoneType' object has no attribute 'writelines'")
"""How uvloop calls a connection that broke a moment ago, and redis-py one of a cluster that another
command has closed because it found the cluster changed."""
T = TypeVar("T")


class Connection:
    """A pool of connections to Redis that speaks Onionskin's errors.

    A command that is cancelled midway costs its connection: redis-py closes it, so a reply that
    comes late can never be read as the answer to another command.

    Args:
        url: see `dialling.py`.
        timeout: of a command, connecting included.
        durability: how many copies there must be of what lasts before it is acknowledged.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: timedelta = timedelta(seconds=1.5),
        durability: Durability | None = None,
    ) -> None:
        self._opened: list[Closable] = []
        self._timeout = timeout.total_seconds()
        self.commands: Commands = create_client(url, self._timeout, self._opened)
        self._express = PinnedConnections(self.commands) if is_one_server(self.commands) else None
        self._lasting = DurableWriter.of(self.commands, durability or Durability(), timeout)

    async def run(self, script: Script, key: str, *args: str | bytes | float) -> Any:
        """Run `script` on the slot of `key`, in one round trip once the server knows it.

        Raises:
            StoreUnavailableError: Redis is away, loading or slow.
            StoreRefusedError: Redis answered, but would not do it.
        """
        if script.durable and self._lasting:
            return await self.call(self._lasting.run(script, key, args))
        return await self.call(self._run(script, key, args))

    async def write(self, *command: str | bytes) -> Any:
        """A plain command on a key, whose write is acknowledged and so has to last."""
        if self._lasting:
            return await self.call(self._lasting.write(*command))
        return await self.call(self.commands.execute_command(*command))

    async def call(self, command: Awaitable[T]) -> T:
        """Await a plain command, with the errors of `run`; connecting counts as part of it."""
        try:
            async with asyncio.timeout(self._timeout):
                return await command
        except _AWAY as error:
            raise unavailable(error) from error
        except (RuntimeError, AttributeError) as error:
            if not any(broken in str(error) for broken in _BROKEN):
                raise
            raise unavailable(error) from error
        except RedisError as error:
            if str(error).startswith(_PASSING):
                raise unavailable(error) from error
            raise StoreRefusedError(
                f"Redis would not store or read: {error}. Check its memory and its permissions."
            ) from error

    async def scan_keys(self, pattern: str, count: int = _SCAN_COUNT) -> AsyncIterator[str]:
        """The names of keys, by SCAN on every node: in no order, and some of them twice."""
        names = self.commands.scan_iter(pattern, count)
        while name := await self.call(anext(names, None)):
            yield name.decode()

    async def on_primaries(self, *command: str) -> list[Any]:
        """What each server that takes writes answers to a command that is about itself."""
        commands = self.commands
        if not isinstance(commands, RedisCluster):
            return [await self.call(commands.execute_command(*command))]
        nodes: list[Any] = commands.get_primaries()
        asked = [commands.execute_command(*command, target_nodes=node) for node in nodes]
        return [await self.call(one) for one in asked]

    async def aclose(self) -> None:
        """Close every connection of the pool."""
        await self.commands.aclose()
        for opened in self._opened:
            await opened.aclose()

    async def _run(self, script: Script, key: str, args: tuple[str | bytes | float, ...]) -> Any:
        try:
            if self._express:
                return await self._express.execute(
                    "EVALSHA", script.sha, 2, *keys.script_keys(key), *args
                )
            return await self.commands.evalsha(script.sha, 2, *keys.script_keys(key), *args)
        except NoScriptError:
            return await self.commands.eval(script.source, 2, *keys.script_keys(key), *args)


def unavailable(error: BaseException) -> StoreUnavailableError:
    """The error for a Redis that is away; its text shows no address."""
    return StoreUnavailableError(
        f"Redis cannot be reached ({type(error).__name__}); what was sent is stored whole or not "
        "at all. Try again shortly."
    )
