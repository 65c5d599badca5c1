"""How many copies of a write there must be before it is acknowledged.

| `ONIONSKIN_DURABILITY` | what is acknowledged is                                       |
|---------------------|---------------------------------------------------------------|
| `primary`           | on the primary, as safe as its `appendfsync` makes it         |
| `replicas:1`        | in the memory of so many of its replicas too (`WAIT`)         |
| `disks:1`           | on the primary's disk, and on those of so many (`WAITAOF`)    |

Writes that wait for replicas or disks, on the connection that wrote.

WAIT counts the replicas that have what its own connection wrote last. So each write goes out with
two commands around it, in one piece: before it a mark on the same hash slot, because a script that
finds its work done (a commit that is sent again) writes nothing, and WAIT would look at nothing;
and behind it WAIT. The same piece is never split over two connections: after a failover the second
would speak of another primary, which never had the write.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Self, TypeAlias, cast

from redis.asyncio.cluster import PipelineCommand, RedisCluster
from redis.exceptions import (
    ConnectionError,  # noqa: A004
    MovedError,
    NoScriptError,
)

from onionskin.memory.errors import ConfigurationError, StoreUnavailableError
from onionskin.memory.store import keys
from onionskin.memory.store.redis.client import Commands
from onionskin.memory.store.redis.scripts import Script

_WRITTEN = re.compile(r"primary|(replicas|disks):(\d{1,2})")


@dataclass(frozen=True, slots=True)
class Durability:
    """Where a write must have come to, and on how many replicas."""

    where: Literal["primary", "replicas", "disks"] = "primary"
    replicas: int = 0

    @classmethod
    def of(cls, text: str) -> Self:
        """Read `primary`, `replicas:<n>` or `disks:<n>`.

        Raises:
            ConfigurationError: it is none of them.
        """
        found = _WRITTEN.fullmatch(text)
        if not found or text == "replicas:0":
            raise ConfigurationError(
                f"ONIONSKIN_DURABILITY cannot be {text!r}; use primary, replicas:<n> with n of 1 or "
                "more, or disks:<n>."
            )
        if not found[1]:
            return cls()
        return cls(cast("Literal['replicas', 'disks']", found[1]), int(found[2]))

    @property
    def waits(self) -> bool:
        """Whether it takes more than the primary's answer."""
        return self.where != "primary"

    def command(self, milliseconds: int) -> tuple[str | int, ...]:
        """What waits for it, for so long at the most."""
        if self.where == "disks":
            return ("WAITAOF", 1, self.replicas, milliseconds)
        return ("WAIT", self.replicas, milliseconds)

    def is_met(self, reply: int | list[int]) -> bool:
        """Whether the answer to the command says so."""
        if isinstance(reply, list):
            return reply[0] >= 1 and reply[1] >= self.replicas
        return reply >= self.replicas

    def __str__(self) -> str:
        """As it is written."""
        return f"{self.where}:{self.replicas}" if self.waits else self.where


Command: TypeAlias = tuple[str | bytes | float, ...]
_SHARE = 0.8
"""Of the time that a command may take, what is left for waiting, so that its answer still comes."""
_MARK_MILLISECONDS = 1000
_TRIES = 3


class DurableWriter(ABC):
    """Writes and waits; `of` finds the way that suits a client."""

    def __init__(self, durability: Durability, within: timedelta) -> None:
        self._durability = durability
        self._wait = durability.command(int(within.total_seconds() * 1000 * _SHARE))

    @staticmethod
    def of(commands: Commands, durability: Durability, within: timedelta) -> "DurableWriter | None":
        """The way for a client; None where nothing is waited for."""
        if not durability.waits:
            return None
        if isinstance(commands, RedisCluster):
            return _ClusterWriter(commands, durability, within)
        return _ServerWriter(commands, durability, within)

    async def run(self, script: Script, key: str, args: Sequence[str | bytes | float]) -> Any:
        """Run a script, and wait.

        Raises:
            StoreUnavailableError: there were not enough copies in time. It is stored all the same,
                and lasts if this primary does.
        """
        try:
            return await self._acknowledged(
                key, ("EVALSHA", script.sha, 2, *keys.script_keys(key), *args)
            )
        except NoScriptError:
            return await self._acknowledged(
                key, ("EVAL", script.source, 2, *keys.script_keys(key), *args)
            )

    async def write(self, *command: str | bytes) -> Any:
        """A plain command, whose second word is its key, and wait; raises as `run` does."""
        return await self._acknowledged(str(command[1]), command)

    async def _acknowledged(self, key: str, write: Command) -> Any:
        mark = ("SET", keys.durability_marker(key), "", "PX", _MARK_MILLISECONDS)
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


class _ServerWriter(DurableWriter):
    def __init__(self, client: Commands, durability: Durability, within: timedelta) -> None:
        super().__init__(durability, within)
        self._client = client

    async def _send(self, key: str, commands: Sequence[Command]) -> list[Any]:
        del key
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return await pipeline.execute(raise_on_error=False)


class _ClusterWriter(DurableWriter):
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
            await self._client.get(
                keys.durability_marker(key)
            )  # by which the client finds where the slot is
        return replies
