"""Writes that wait for replicas or disks, on the connection that wrote.

WAIT counts the replicas that have what its own connection wrote last. So each write goes out with
two commands around it, in one piece: before it a mark on the same hash slot, because a script that
finds its work done (a commit that is sent again) writes nothing, and WAIT would look at nothing;
and behind it WAIT. The same piece is never split over two connections: after a failover the second
would speak of another primary, which never had the write.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeAlias, cast

from redis.asyncio.cluster import PipelineCommand, RedisCluster
from redis.exceptions import (
    ConnectionError,  # noqa: A004
    MovedError,
    NoScriptError,
)

from memory.errors import StoreUnavailableError
from memory.store import keys
from memory.store.commands import Commands
from memory.store.durability import Durability
from memory.store.scripts import Script

Command: TypeAlias = tuple[str | bytes | float, ...]
_SHARE = 0.8
"""Of the time that a command may take, what is left for waiting, so that its answer still comes."""
_MARK_MILLISECONDS = 1000
_TRIES = 3


class Lasting(ABC):
    """Writes and waits; `of` finds the way that suits a client."""

    def __init__(self, durability: Durability, within: timedelta) -> None:
        self._durability = durability
        self._wait = durability.command(int(within.total_seconds() * 1000 * _SHARE))

    @staticmethod
    def of(commands: Commands, durability: Durability, within: timedelta) -> "Lasting | None":
        """The way for a client; None where nothing is waited for."""
        if not durability.waits:
            return None
        if isinstance(commands, RedisCluster):
            return _OnCluster(commands, durability, within)
        return _OnServer(commands, durability, within)

    async def run(self, script: Script, key: str, args: Sequence[str | bytes | float]) -> Any:
        """Run a script, and wait.

        Raises:
            StoreUnavailableError: there were not enough copies in time. It is stored all the same,
                and lasts if this primary does.
        """
        try:
            return await self._acknowledged(
                key, ("EVALSHA", script.sha, 2, *keys.named(key), *args)
            )
        except NoScriptError:
            return await self._acknowledged(
                key, ("EVAL", script.source, 2, *keys.named(key), *args)
            )

    async def write(self, *command: str | bytes) -> Any:
        """A plain command, whose second word is its key, and wait; raises as `run` does."""
        return await self._acknowledged(str(command[1]), command)

    async def _acknowledged(self, key: str, write: Command) -> Any:
        mark = ("SET", keys.mark(key), "", "PX", _MARK_MILLISECONDS)
        replies = await self._send(key, (mark, write, self._wait))
        for reply in (replies[1], replies[0], replies[2]):
            if isinstance(reply, Exception):
                raise reply
        if not self._durability.is_met(replies[2]):
            raise StoreUnavailableError(
                f"Too few copies were made in time ({self._durability} asks for more); what was "
                "sent is stored whole or not at all. Try again shortly, with the same "
                "Idempotency-Key where there was one."
            )
        return replies[1]

    @abstractmethod
    async def _send(self, key: str, commands: Sequence[Command]) -> list[Any]:
        """The answers to commands that go out on one connection; errors are among them."""


class _OnServer(Lasting):
    def __init__(self, client: Commands, durability: Durability, within: timedelta) -> None:
        super().__init__(durability, within)
        self._client = client

    async def _send(self, key: str, commands: Sequence[Command]) -> list[Any]:
        del key
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return await pipeline.execute(raise_on_error=False)


class _OnCluster(Lasting):
    def __init__(self, client: RedisCluster, durability: Durability, within: timedelta) -> None:
        super().__init__(durability, within)
        self._client: Any = client

    async def _send(self, key: str, commands: Sequence[Command]) -> list[Any]:
        replies: list[Any] = []
        for _ in range(_TRIES):
            await self._client.initialize()
            node = self._client.get_node_from_key(key)
            sent = [PipelineCommand(place, *one) for place, one in enumerate(commands)]
            await node.execute_pipeline(sent)
            replies = [cast("Any", one.result) for one in sent]
            if not any(isinstance(reply, MovedError | ConnectionError) for reply in replies):
                return replies
            await self._client.get(keys.mark(key))  # by which the client finds where the slot is
        return replies
