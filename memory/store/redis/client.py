"""Clients of redis-py for a URL, and the protocol of the commands that Onionskin calls.

| URL                                          | server                               |
|----------------------------------------------|--------------------------------------|
| `redis://host:6379/0`, `rediss://...`        | one server (TLS with `rediss`)       |
| `unix:///path/to/redis.sock`                 | one server on a unix socket          |
| `redis+sentinel://h1:26379,h2:26379/primary` | the primary that Sentinels name      |
| `redis+cluster://h1:6379,h2:6379`            | a Redis Cluster, by any of its nodes |
"""

from collections.abc import AsyncIterator, Awaitable
from collections.abc import Set as AbstractSet
from typing import Any, Protocol, cast
from urllib.parse import SplitResult, urlsplit

import redis.asyncio as aioredis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import (
    ConnectionError,  # noqa: A004
    RedisClusterException,
    RedisError,
)

from onionskin.memory.errors import ConfigurationError


class Commands(Protocol):
    """The Redis commands that Onionskin calls; every client of redis-py has them."""

    def evalsha(self, sha: str, numkeys: int, *args: Any) -> Awaitable[Any]: ...
    def eval(self, script: str, numkeys: int, *args: Any) -> Awaitable[Any]: ...
    def ping(self) -> Awaitable[Any]: ...
    def set(self, name: str, value: str | bytes, *, nx: bool, px: int | None) -> Awaitable[Any]: ...
    def get(self, name: str) -> Awaitable[bytes | None]: ...
    def delete(self, *names: str) -> Awaitable[Any]: ...
    def lrange(self, name: str, start: int, end: int) -> Awaitable[Any]: ...
    def hmget(self, name: str, keys: list[str]) -> Awaitable[Any]: ...
    def hset(self, name: str, key: str, value: bytes) -> Awaitable[Any]: ...
    def hsetnx(self, name: str, key: str, value: str | bytes) -> Awaitable[Any]: ...
    def hdel(self, name: str, key: str) -> Awaitable[Any]: ...
    def hvals(self, name: str) -> Awaitable[list[bytes]]: ...
    def hgetall(self, name: str) -> Awaitable[dict[bytes, bytes]]: ...
    def hkeys(self, name: str) -> Awaitable[list[bytes]]: ...
    def hget(self, name: str, key: str) -> Awaitable[Any]: ...
    def smembers(self, name: str) -> Awaitable[AbstractSet[bytes]]: ...
    def hlen(self, name: str) -> Awaitable[int]: ...
    def zrange(
        self, name: str, start: int, end: int, *, desc: bool = False
    ) -> Awaitable[list[bytes]]: ...
    def zscore(self, name: str, value: str) -> Awaitable[float | None]: ...
    def zrevrank(self, name: str, value: str) -> Awaitable[int]: ...
    def zcount(self, name: str, min: str, max: str) -> Awaitable[int]: ...  # noqa: A002
    def scan_iter(self, match: str, count: int) -> AsyncIterator[bytes]: ...
    def execute_command(self, *args: Any, **options: Any) -> Awaitable[Any]: ...
    def bgrewriteaof(self) -> Awaitable[Any]: ...
    def info(self, section: str) -> Awaitable[Any]: ...
    def pipeline(self, *, transaction: bool) -> Any: ...
    def aclose(self) -> Awaitable[None]: ...


class Closable(Protocol):
    """A further client that has to be closed, such as one of a Sentinel."""

    def aclose(self) -> Awaitable[None]: ...


_SENTINEL_PORT, _PORT = 26379, 6379


def create_client(url: str, timeout: float, opened: list[Closable]) -> Commands:
    """A client for a URL, which connects on first use.

    Args:
        url: The URL; its forms are in the module's docstring.
        timeout: Time limit per command, in seconds; a third of it for connecting.
        opened: Receives further clients that are closed with this one.

    Raises:
        ConfigurationError: The URL is invalid.
    """
    # Commits carry a nonce, so every command may be repeated after a lost connection. It is not
    # repeated after a timeout: a Redis that hangs would be waited for several times. uvloop raises
    # RuntimeError when it writes to a connection that has just broken.
    # `Connection.call` limits the time on a single server; clients of several servers need a limit
    # per socket, to know which server is slow.
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout / 3,  # leaves time for a second Sentinel
    }
    backoff = ExponentialWithJitterBackoff(base=0.01, cap=0.25)
    broken = cast("tuple[type[RedisError], ...]", (ConnectionError, RuntimeError))
    options["retry"] = Retry(backoff, retries=2, supported_errors=broken)
    try:
        parts = urlsplit(url)
        if parts.scheme in ("redis", "rediss", "unix"):
            return cast("Commands", aioredis.from_url(url, **options | {"socket_timeout": None}))  # pyright: ignore[reportUnknownMemberType]
        if parts.scheme == "redis+cluster":
            return _cluster(parts, options)
        if parts.scheme == "redis+sentinel":
            return _primary(parts, options, opened)
    except (ValueError, RedisClusterException) as error:
        raise ConfigurationError(f"ONIONSKIN_REDIS_URL cannot be read: {error}.") from error
    raise ConfigurationError(
        f"ONIONSKIN_REDIS_URL begins with {parts.scheme!r}; use redis://, rediss://, unix://, "
        "redis+sentinel:// or redis+cluster://."
    )


def _cluster(parts: SplitResult, options: dict[str, Any]) -> Commands:
    credentials, at, _ = parts.netloc.rpartition("@")
    (host, port), *others = _hosts(parts, _PORT)
    plain = parts._replace(scheme="redis", netloc=f"{credentials}{at}{host}:{port}").geturl()
    nodes = [ClusterNode(host, port) for host, port in others]
    return cast("Commands", RedisCluster.from_url(plain, startup_nodes=nodes, **options))


def _primary(parts: SplitResult, options: dict[str, Any], opened: list[Closable]) -> Commands:
    sentinel = Sentinel(
        _hosts(parts, _SENTINEL_PORT),
        sentinel_kwargs={name: value for name, value in options.items() if name != "retry"},
        username=parts.username,
        password=parts.password,
        **options,
    )
    opened += cast("list[Closable]", sentinel.sentinels)
    return cast("Commands", sentinel.master_for(parts.path.strip("/") or "mymaster"))  # pyright: ignore[reportUnknownMemberType]


def _hosts(parts: SplitResult, default_port: int) -> list[tuple[str, int]]:
    hosts: list[tuple[str, int]] = []
    for address in parts.netloc.rpartition("@")[2].split(","):
        host, _, port = address.rpartition(":")
        hosts.append((host, int(port)) if host else (port, default_port))
    return hosts
