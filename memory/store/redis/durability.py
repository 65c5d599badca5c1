"""Durability: how many copies of a write exist before it is acknowledged.

| `ONIONSKIN_DURABILITY` | an acknowledged write is                                       |
|------------------------|----------------------------------------------------------------|
| `primary`              | on the primary, as safe as its `appendfsync` makes it          |
| `replicas:1`           | also in the memory of that many of its replicas (`WAIT`)       |
| `disks:1`              | on the disks of the primary and of that many more (`WAITAOF`)  |

WAIT counts the replicas that have the last write of its own connection. So each write is sent in
one pipeline between two commands. A marker on the same hash slot precedes it: a script whose work
is already done, such as a repeated commit, writes nothing, and WAIT would have nothing to wait for.
WAIT follows it. A pipeline is never split over two connections: after a failover, the second one
could reach another primary, which never had the write.
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

_FORMAT = re.compile(r"primary|(replicas|disks):(\d{1,2})")


@dataclass(frozen=True, slots=True)
class Durability:
    """How far a write must have come, and on how many replicas."""

    where: Literal["primary", "replicas", "disks"] = "primary"
    replicas: int = 0

    @classmethod
    def of(cls, text: str) -> Self:
        """Read `primary`, `replicas:<n>` or `disks:<n>`.

        Raises:
            ConfigurationError: The text has another form.
        """
        match = _FORMAT.fullmatch(text)
        if not match or text == "replicas:0":
            raise ConfigurationError(
                f"ONIONSKIN_DURABILITY cannot be {text!r}; use primary, replicas:<n> with n of 1 "
                "or more, or disks:<n>."
            )
        if not match[1]:
            return cls()
        return cls(cast("Literal['replicas', 'disks']", match[1]), int(match[2]))

    @property
    def waits(self) -> bool:
        """Whether a write waits for more than the primary's reply."""
        return self.where != "primary"

    def command(self, milliseconds: int) -> tuple[str | int, ...]:
        """The command that waits for the copies, with a time limit in milliseconds."""
        if self.where == "disks":
            return ("WAITAOF", 1, self.replicas, milliseconds)
        return ("WAIT", self.replicas, milliseconds)

    def is_met(self, reply: int | list[int]) -> bool:
        """Whether the command's reply reports enough copies."""
        if isinstance(reply, list):
            return reply[0] >= 1 and reply[1] >= self.replicas
        return reply >= self.replicas

    def __str__(self) -> str:
        """The form that `of` reads."""
        return f"{self.where}:{self.replicas}" if self.waits else self.where


Command: TypeAlias = tuple[str | bytes | float, ...]
_WAIT_SHARE = 0.8
"""Fraction of a command's timeout that WAIT may take, so that its reply still arrives in time."""
_MARKER_MILLISECONDS = 1000
_TRIES = 3


class DurableWriter(ABC):
    """Sends a write and waits for its copies.

    Args:
        durability: The number of copies.
        timeout: Time limit per command.
    """

    def __init__(self, durability: Durability, timeout: timedelta) -> None:
        self._durability = durability
        self._wait = durability.command(int(timeout.total_seconds() * 1000 * _WAIT_SHARE))

    @staticmethod
    def of(
        commands: Commands, durability: Durability, timeout: timedelta
    ) -> "DurableWriter | None":
        """The writer for a client; None if writes wait for no copies."""
        if not durability.waits:
            return None
        if isinstance(commands, RedisCluster):
            return _ClusterWriter(commands, durability, timeout)
        return _ServerWriter(commands, durability, timeout)

    async def run(self, script: Script, key: str, args: Sequence[str | bytes | float]) -> Any:
        """Run a script and wait for its copies.

        Raises:
            StoreUnavailableError: There are too few copies within the timeout. The write is stored
                on the primary, and is lost only if the primary is.
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
        """Send a plain command, whose second word is its key, and wait; raises as `run`."""
        return await self._acknowledged(str(command[1]), command)

    async def _acknowledged(self, key: str, write: Command) -> Any:
        marker = ("SET", keys.durability_marker(key), "", "PX", _MARKER_MILLISECONDS)
        replies = await self._send(key, (marker, write, self._wait))
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
        """The replies to commands that are sent on one connection; errors are among them."""


class _ServerWriter(DurableWriter):
    def __init__(self, client: Commands, durability: Durability, timeout: timedelta) -> None:
        super().__init__(durability, timeout)
        self._client = client

    async def _send(self, key: str, commands: Sequence[Command]) -> list[Any]:
        del key
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return await pipeline.execute(raise_on_error=False)


class _ClusterWriter(DurableWriter):
    def __init__(self, client: RedisCluster, durability: Durability, timeout: timedelta) -> None:
        super().__init__(durability, timeout)
        self._client: Any = client

    async def _send(self, key: str, commands: Sequence[Command]) -> list[Any]:
        replies: list[Any] = []
        for _ in range(_TRIES):
            await self._client.initialize()
            node = self._client.get_node_from_key(key)
            sent = [PipelineCommand(index, *command) for index, command in enumerate(commands)]
            await node.execute_pipeline(sent)
            replies = [cast("Any", command.result) for command in sent]
            if not any(isinstance(reply, MovedError | ConnectionError) for reply in replies):
                return replies
            await self._client.get(keys.durability_marker(key))  # the client learns the slot's node
        return replies
