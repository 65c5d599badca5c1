"""Faults of the network and of Redis, and how to end each of them."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from onionskin.memory.store.commit_request import COMMIT_TURN
from tests.conftest import RedisClient
from tests.faults.proxy import Proxy


@dataclass(frozen=True, slots=True)
class Scene:
    """Where faults happen: the proxy, and a client of the Redis behind it."""

    proxy: Proxy
    redis: RedisClient


Harm = Callable[[Scene], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class NetworkFault:
    """One fault.

    Attributes:
        name: what happens.
        harm: lasts for as long as its block does.
        status: HTTP status of a turn during the fault; None if the turn may succeed.
    """

    name: str
    harm: Harm
    status: int | None = None


@asynccontextmanager
async def _unreachable(scene: Scene) -> AsyncGenerator[None]:
    await scene.proxy.vanish()
    yield
    await scene.proxy.listen()


@asynccontextmanager
async def _half_open(scene: Scene) -> AsyncGenerator[None]:
    scene.proxy.silent = True
    yield
    await scene.proxy.vanish()  # what was under way never arrives
    scene.proxy.silent = False
    await scene.proxy.listen()


@asynccontextmanager
async def _slow(scene: Scene) -> AsyncGenerator[None]:
    scene.proxy.latency = 0.03
    yield
    scene.proxy.latency = 0.0


@asynccontextmanager
async def _cut(scene: Scene) -> AsyncGenerator[None]:
    scene.proxy.cuts = 0.1
    yield
    scene.proxy.cuts = 0.0


@asynccontextmanager
async def _unheard(scene: Scene) -> AsyncGenerator[None]:
    scene.proxy.command, scene.proxy.loses = COMMIT_TURN.sha.encode(), 0.3
    yield
    scene.proxy.loses = 0.0


@asynccontextmanager
async def _full(scene: Scene) -> AsyncGenerator[None]:
    await scene.redis.config_set("maxmemory", "1mb")
    yield
    await scene.redis.config_set("maxmemory", "0")


@asynccontextmanager
async def _read_only(scene: Scene) -> AsyncGenerator[None]:
    await scene.redis.replicaof("127.0.0.1", 1)
    yield
    await scene.redis.replicaof("NO", "ONE")


@asynccontextmanager
async def _forgetful(scene: Scene) -> AsyncGenerator[None]:
    await scene.redis.script_flush()
    yield


FAULTS = (
    NetworkFault("Redis unreachable", _unreachable, 503),
    NetworkFault("half-open sockets", _half_open, 503),
    NetworkFault("latency of 60 ms a command", _slow),
    NetworkFault("connections cut in mid-command", _cut),
    NetworkFault("answers to commits lost", _unheard),
    NetworkFault("Redis full", _full, 507),
    NetworkFault("Redis a read-only replica", _read_only, 503),
    NetworkFault("script cache flushed", _forgetful),
)
