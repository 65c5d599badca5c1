"""One way to Redis, whatever stands there: a server, a unix socket, Sentinel, or a cluster.

| URL                                          | what it reaches                  |
|----------------------------------------------|----------------------------------|
| `redis://host:6379/0`, `rediss://...`        | one server (TLS with `rediss`)   |
| `unix:///path/to/redis.sock`                 | one server on a unix socket      |
| `redis+sentinel://h1:26379,h2:26379/primary` | the primary that Sentinels name  |
| `redis+cluster://host:6379`                  | a Redis Cluster, from any node   |
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable
from collections.abc import Set as AbstractSet
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast
from urllib.parse import urlsplit

import redis.asyncio as aioredis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,  # noqa: A004
    NoScriptError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    TimeoutError,  # noqa: A004
)

from memory.errors import ConfigurationError, StoreRefusedError, StoreUnavailableError

_AWAY = (
    ConnectionError,
    TimeoutError,
    BusyLoadingError,
    ClusterDownError,
    ReadOnlyError,
    RedisClusterException,
    OSError,
)
_BROKEN = "the handler is closed"  # how uvloop calls a connection that broke a moment ago
_SCRIPTS = Path(__file__).parent
T = TypeVar("T")


class Commands(Protocol):
    """The Redis commands that Strata calls, as every client of redis-py has them."""

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
    def bgrewriteaof(self) -> Awaitable[Any]: ...
    def info(self, section: str) -> Awaitable[Any]: ...
    def aclose(self) -> Awaitable[None]: ...


class Closable(Protocol):
    """A client that the connection opened on the way."""

    def aclose(self) -> Awaitable[None]: ...


class Script:
    """A Lua script of this folder; several files are put one behind the other."""

    def __init__(self, *names: str) -> None:
        self.source = "\n".join((_SCRIPTS / f"{name}.lua").read_text() for name in names)

    @cached_property
    def sha(self) -> str:
        """Its name on the server."""
        return hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    @cached_property
    def keyed(self) -> "Script":
        """The script as it runs on sealed values, told which data key the worker holds."""
        script = Script("keyed")
        script.source = f"local function body()\n{self.source}\nend\n{script.source}"
        return script


class Connection:
    """A pool of connections to Redis that speaks Strata's errors.

    A command that is cancelled midway costs its connection: redis-py closes it, so a reply that
    comes late can never be read as the answer to another command.
    """

    def __init__(self, url: str, *, timeout: timedelta = timedelta(seconds=1.5)) -> None:
        self._opened: list[Closable] = []
        self._timeout = timeout.total_seconds()
        self.commands: Commands = _client(url, self._timeout, self._opened)

    async def run(self, script: Script, key: str, *args: str | bytes | float) -> Any:
        """Run `script` on the slot of `key`, in one round trip once the server knows it.

        Raises:
            StoreUnavailableError: Redis is away, loading or slow.
            StoreRefusedError: Redis answered, but would not do it.
        """
        return await self.call(self._run(script, key, args))

    async def call(self, command: Awaitable[T]) -> T:
        """Await a plain command, with the errors of `run`; connecting counts as part of it."""
        try:
            async with asyncio.timeout(self._timeout):
                return await command
        except _AWAY as error:
            raise unavailable(error) from error
        except RuntimeError as error:
            if _BROKEN not in str(error):
                raise
            raise unavailable(error) from error
        except RedisError as error:
            raise StoreRefusedError(
                f"Redis would not store or read: {error}. Check its memory and its permissions."
            ) from error

    async def aclose(self) -> None:
        """Close every connection of the pool."""
        await self.commands.aclose()
        for opened in self._opened:
            await opened.aclose()

    async def _run(self, script: Script, key: str, args: tuple[str | bytes | float, ...]) -> Any:
        try:
            return await self.commands.evalsha(script.sha, 1, key, *args)
        except NoScriptError:
            return await self.commands.eval(script.source, 1, key, *args)


def unavailable(error: BaseException) -> StoreUnavailableError:
    """The error for a Redis that is away; its text shows no address."""
    return StoreUnavailableError(
        f"Redis cannot be reached ({type(error).__name__}); what was sent is stored whole or not "
        "at all. Try again shortly."
    )


def _client(url: str, timeout: float, opened: list[Closable]) -> Commands:
    # Commits carry a nonce, so every command may be sent again after a lost connection. After a
    # timeout it is not: a Redis that hangs would be waited for several times over. A RuntimeError
    # is what uvloop raises on writing to a connection that has just broken.
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout / 3,  # so that a second Sentinel has its turn
    }
    backoff = ExponentialWithJitterBackoff(base=0.01, cap=0.25)
    broken = cast("tuple[type[RedisError], ...]", (ConnectionError, RuntimeError))
    retry = Retry(backoff, retries=2, supported_errors=broken)
    try:
        parts = urlsplit(url)
        if parts.scheme in ("redis", "rediss", "unix"):
            return cast("Commands", aioredis.from_url(url, retry=retry, **options))  # pyright: ignore[reportUnknownMemberType]
        if parts.scheme == "redis+cluster":
            plain = url.replace("redis+cluster", "redis", 1)
            return cast("Commands", RedisCluster.from_url(plain, retry=retry, **options))
        if parts.scheme == "redis+sentinel":
            hosts = [host.rpartition(":") for host in parts.netloc.rpartition("@")[2].split(",")]
            sentinel = Sentinel(
                [(name or port, int(port) if name else 26379) for name, _, port in hosts],
                sentinel_kwargs=options,
                username=parts.username,
                password=parts.password,
                retry=retry,
                **options,
            )
            opened += cast("list[Closable]", sentinel.sentinels)
            primary = parts.path.strip("/") or "mymaster"
            return cast("Commands", sentinel.master_for(primary))  # pyright: ignore[reportUnknownMemberType]
    except (ValueError, RedisClusterException) as error:
        raise ConfigurationError(f"STRATA_REDIS_URL cannot be read: {error}.") from error
    raise ConfigurationError(
        f"STRATA_REDIS_URL begins with {parts.scheme!r}; use redis://, rediss://, unix://, "
        "redis+sentinel:// or redis+cluster://."
    )
