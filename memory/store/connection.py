"""One way to Redis, whatever stands there, with Strata's errors."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, TypeVar

from redis.asyncio.cluster import RedisCluster
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
    TimeoutError,  # noqa: A004
    TryAgainError,
)

from memory.errors import StoreRefusedError, StoreUnavailableError
from memory.store import keys
from memory.store.commands import Closable, Commands
from memory.store.dialling import dial
from memory.store.durability import Durability
from memory.store.express import Express, is_one_server
from memory.store.lasting import Lasting
from memory.store.scripts import Script

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
    """A pool of connections to Redis that speaks Strata's errors.

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
        self.commands: Commands = dial(url, self._timeout, self._opened)
        self._express = Express(self.commands) if is_one_server(self.commands) else None
        self._lasting = Lasting.of(self.commands, durability or Durability(), timeout)

    async def run(self, script: Script, key: str, *args: str | bytes | float) -> Any:
        """Run `script` on the slot of `key`, in one round trip once the server knows it.

        Raises:
            StoreUnavailableError: Redis is away, loading or slow.
            StoreRefusedError: Redis answered, but would not do it.
        """
        if script.lasts and self._lasting:
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
                    "EVALSHA", script.sha, 2, *keys.named(key), *args
                )
            return await self.commands.evalsha(script.sha, 2, *keys.named(key), *args)
        except NoScriptError:
            return await self.commands.eval(script.source, 2, *keys.named(key), *args)


def unavailable(error: BaseException) -> StoreUnavailableError:
    """The error for a Redis that is away; its text shows no address."""
    return StoreUnavailableError(
        f"Redis cannot be reached ({type(error).__name__}); what was sent is stored whole or not "
        "at all. Try again shortly."
    )
