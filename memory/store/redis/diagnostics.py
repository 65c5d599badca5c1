"""What a Redis says of itself: its version, whether it keeps what it is given, its time."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onionskin.memory.errors import StoreRefusedError
from onionskin.memory.store.redis.connection import Connection


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """One server that takes writes.

    Attributes:
        version: such as `8.2.1`, with the server's name.
        appends: whether it has an append-only file; `fsync` says when that is on disk, and is ''
            where the server would not tell.
        evicts: its policy where it drops keys when it is full, else ''.
        used_bytes, most_bytes: its memory; 0 for no bound.
        replicas: how many follow it.
        round_trip: of a PING; seconds.
        ahead: its clock before ours; seconds.
    """

    version: str
    appends: bool
    fsync: str
    evicts: str
    used_bytes: int
    most_bytes: int
    replicas: int
    round_trip: float
    ahead: float


async def inspect_redis(connection: Connection) -> list[RedisFacts]:
    """Every server that takes writes.

    Raises:
        StoreUnavailableError: Redis is away.
        StoreRefusedError: it wants a password, or allows too little.
    """
    await connection.on_primaries("PING")  # connects
    began = time.perf_counter()
    await connection.on_primaries("PING")
    round_trip = time.perf_counter() - began
    told = await connection.on_primaries("INFO")
    times = await connection.on_primaries("TIME")
    now = time.time()
    fsyncs = [""] * len(told)
    with contextlib.suppress(StoreRefusedError):  # managed servers often forbid CONFIG
        configured = await connection.on_primaries("CONFIG", "GET", "appendfsync")
        fsyncs = [_configured(one) for one in configured]
    return [
        _facts(one, fsync, round_trip, _seconds(at) - now)
        for one, fsync, at in zip(told, fsyncs, times, strict=True)
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
        most_bytes=int(info.get("maxmemory", 0)),
        replicas=int(info.get("connected_slaves", 0)),
        round_trip=round_trip,
        ahead=ahead,
    )


def _configured(answer: Mapping[Any, Any] | Sequence[Any]) -> str:
    """The one value of CONFIG GET, whose shape depends on the client."""
    values = list(answer.values()) if isinstance(answer, Mapping) else list(answer)[1:]
    value: Any = values[0] if values else b""
    return value.decode() if isinstance(value, bytes) else str(value)


def _seconds(at: Any) -> float:
    seconds, micros = at
    return int(seconds) + int(micros) / 1e6
