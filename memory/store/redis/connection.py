"""Connection: commands and scripts on one server, Sentinel or a cluster, with Onionskin's errors.

On a single server, scripts run on a few pinned connections, which avoids the overhead of the pool.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
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
from onionskin.memory.store.redis.fair_gate import FairGate
from onionskin.memory.store.redis.scripts import Script

_SCAN_COUNT = 1000
_MAX_CONCURRENT = 32
"""Most commands at a time; with the pinned connections, fewer than the 100 of redis-py's pool."""
_MAX_IDLE = 16
"""Number of pinned connections; further ones return to the pool after their command."""


class PinnedConnections:
    """Commands to one server, on a few connections that stay checked out of the client's pool.

    Args:
        client: Owns the pool; closing it closes the connections.
    """

    def __init__(self, client: Commands) -> None:
        self._client: Any = client
        self._idle: list[AbstractConnection] = []

    async def execute(self, *command: str | bytes | float) -> Any:
        """The server's reply.

        If the connection is broken, the client sends the command again on a new one. So a command
        may be executed twice.

        Raises:
            RedisError: The client's error.
        """
        pool = self._client.connection_pool
        connection: Any = self._idle.pop() if self._idle else await pool.get_connection()
        try:
            await connection.send_packed_command(_pack(command))
            return await connection.read_response()
        except ResponseError:
            raise
        except (ConnectionError, RuntimeError):  # uvloop's error for one that has just broken
            await connection.disconnect(nowait=True)
        except BaseException:  # such as a cancellation: a late reply must not answer the next one
            await connection.disconnect(nowait=True)
            raise
        finally:
            if len(self._idle) < _MAX_IDLE:
                self._idle.append(connection)
            else:
                await pool.release(connection)
        return await self._client.execute_command(*command)


def is_one_server(client: Commands) -> bool:
    """Whether a client always talks to the same single server."""
    if not isinstance(client, Redis):
        return False
    return not isinstance(cast("Any", client).connection_pool, SentinelConnectionPool)


_pack: Callable[[tuple[str | bytes | float, ...]], bytes] = cast("Any", hiredis).pack_command


_UNAVAILABLE = (
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
_TEMPORARY = ("NOREPLICAS", "UNBLOCKED")
"""Error prefixes of a server that has too few replicas, or has just stopped being the primary."""
_BROKEN = ("the handler is closed", "'NoneType' object has no attribute 'writelines'")
"""The errors of uvloop for a connection that has just broken, and of redis-py for one that another
command closed because the cluster changed."""
T = TypeVar("T")


class Connection:
    """A pool of connections to Redis that raises Onionskin's errors.

    Cancelling a command closes its connection, so a late reply is never read as the answer to
    another command.

    Args:
        url: The URL of a server, Sentinels or a cluster; see `create_client`.
        timeout: Time limit per command, including connecting.
        durability: Number of copies of a durable write before it is acknowledged.
        longest_wait: Time limit for waiting until a command is sent, while others run.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: timedelta = timedelta(seconds=1.5),
        durability: Durability | None = None,
        longest_wait: timedelta = timedelta(seconds=10),
    ) -> None:
        self._gate = FairGate(_MAX_CONCURRENT, longest_wait)
        self._opened: list[Closable] = []
        self._timeout = timeout.total_seconds()
        self.commands: Commands = create_client(url, self._timeout, self._opened)
        self._pinned = PinnedConnections(self.commands) if is_one_server(self.commands) else None
        self._durable_writer = DurableWriter.of(self.commands, durability or Durability(), timeout)

    async def run(self, script: Script, key: str, *args: str | bytes | float) -> Any:
        """Run `script` on the slot of `key`, in one round trip once the server knows it.

        Raises:
            StoreUnavailableError: Redis is away, loading or slow.
            StoreBusyError: Too many commands wait.
            StoreRefusedError: Redis answered with an error.
        """
        if script.durable and self._durable_writer:
            return await self.call(self._durable_writer.run(script, key, args))
        return await self.call(self._run(script, key, args))

    async def write(self, *command: str | bytes) -> Any:
        """A plain command whose second word is its key, and whose write must be durable."""
        if self._durable_writer:
            return await self.call(self._durable_writer.write(*command))
        return await self.call(self.commands.execute_command(*command))

    async def call(self, command: Awaitable[T]) -> T:
        """Await a plain command within the timeout; raises as `run`."""
        try:
            await self._gate.enter()
        except BaseException:
            if isinstance(command, Coroutine):
                command.close()
            raise
        try:
            async with asyncio.timeout(self._timeout):
                return await command
        except _UNAVAILABLE as error:
            raise unavailable(error) from error
        except (RuntimeError, AttributeError) as error:
            if not any(broken in str(error) for broken in _BROKEN):
                raise
            raise unavailable(error) from error
        except RedisError as error:
            if str(error).startswith(_TEMPORARY):
                raise unavailable(error) from error
            raise StoreRefusedError(
                f"Redis refused to store or read: {error}. Check its memory and its permissions."
            ) from error
        finally:
            self._gate.leave()

    async def scan_keys(self, pattern: str, count: int = _SCAN_COUNT) -> AsyncIterator[str]:
        """Names of keys, by SCAN on every node: unordered, and possibly repeated."""
        names = self.commands.scan_iter(pattern, count)
        while name := await self.call(anext(names, None)):
            yield name.decode()

    async def on_primaries(self, *command: str) -> list[Any]:
        """The reply of each primary to a command about the server itself, such as INFO."""
        commands = self.commands
        if not isinstance(commands, RedisCluster):
            return [await self.call(commands.execute_command(*command))]
        nodes: list[Any] = commands.get_primaries()
        replies = [commands.execute_command(*command, target_nodes=node) for node in nodes]
        return [await self.call(reply) for reply in replies]

    async def aclose(self) -> None:
        """Close every connection of the pool."""
        await self.commands.aclose()
        for client in self._opened:
            await client.aclose()

    async def _run(self, script: Script, key: str, args: tuple[str | bytes | float, ...]) -> Any:
        try:
            if self._pinned:
                return await self._pinned.execute(
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
