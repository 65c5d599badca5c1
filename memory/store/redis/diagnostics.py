"""Diagnostics of Redis servers: version, persistence, memory, replicas and clock."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onionskin.memory.errors import StoreRefusedError
from onionskin.memory.store.redis.connection import Connection


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """The state of one primary.

    Attributes:
        version: Name and version, such as `redis 8.2.1`.
        appends: Whether it has an append-only file.
        fsync: When that file is synced to disk; '' if CONFIG is forbidden.
        evicts: Its eviction policy; '' if it evicts no keys.
        used_bytes, max_bytes: Its memory and the limit; 0 for no limit.
        replicas: Number of connected replicas.
        round_trip: Duration of a PING, in seconds.
        ahead: How far its clock is ahead of this machine's, in seconds.
    """

    version: str
    appends: bool
    fsync: str
    evicts: str
    used_bytes: int
    max_bytes: int
    replicas: int
    round_trip: float
    ahead: float


async def inspect_redis(connection: Connection) -> list[RedisFacts]:
    """The state of every primary.

    Raises:
        StoreUnavailableError: Redis is away.
        StoreRefusedError: It requires a password, or forbids a command.
    """
    await connection.on_primaries("PING")  # connects
    began = time.perf_counter()
    await connection.on_primaries("PING")
    round_trip = time.perf_counter() - began
    infos = await connection.on_primaries("INFO")
    times = await connection.on_primaries("TIME")
    now = time.time()
    fsyncs = [""] * len(infos)
    with contextlib.suppress(StoreRefusedError):  # managed servers often forbid CONFIG
        configured = await connection.on_primaries("CONFIG", "GET", "appendfsync")
        fsyncs = [_configured(reply) for reply in configured]
    return [
        _facts(info, fsync, round_trip, _seconds(at) - now)
        for info, fsync, at in zip(infos, fsyncs, times, strict=True)
    ]


def _facts(info: dict[str, Any], fsync: str, round_trip: float, ahead: float) -> RedisFacts:
    name = info.get("server_name", "redis")
    policy = str(info.get("maxmemory_policy", "noeviction"))
    return RedisFacts(
        version=f"{name} {info.get(f'{name}_version', info.get('redis_version', '?'))}",
        appends=bool(info.get("aof_enabled")),
        fsync=fsync,
        evicts="" if policy == "noeviction" else policy,
        used_bytes=int(info.get("used_memory", 0)),
        max_bytes=int(info.get("maxmemory", 0)),
        replicas=int(info.get("connected_slaves", 0)),
        round_trip=round_trip,
        ahead=ahead,
    )


def _configured(reply: Mapping[Any, Any] | Sequence[Any]) -> str:
    """The value in a reply of CONFIG GET, whose shape depends on the client."""
    values = list(reply.values()) if isinstance(reply, Mapping) else list(reply)[1:]
    value: Any = values[0] if values else b""
    return value.decode() if isinstance(value, bytes) else str(value)


def _seconds(at: Any) -> float:
    seconds, micros = at
    return int(seconds) + int(micros) / 1e6
