"""SIGKILL of workers and of Redis, at random moments under load."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from onionskin.memory.retrieval import StaticEmbedder
from onionskin.memory.store import Connection, RedisStore
from onionskin.memory.store.redis.embedded import EmbeddedRedis, answers
from tests.faults.deployment import working
from tests.faults.http_connection import Line
from tests.faults.index_comparison import Watcher
from tests.faults.results_file import Ledger
from tests.faults.simulated_users import Speaker
from tests.faults.stored_state import check_acknowledged, stored_turns
from tests.faults.workers import Workers

WORKERS, REDIS = "workers killed", "Redis killed"
_WORKERS, _SPEAKERS, _ROUNDS_OF_A_CAST = 3, 6, 8
_QUEUES = 1 / 25  # seldom: a killed worker's hold on a session takes four seconds to end


async def run(ledger: Ledger, folder: Path) -> None:
    """Kill until the goals are reached; after each kill, look for all acknowledged turns."""
    async with (
        EmbeddedRedis(folder / "redis") as redis,
        working(folder / "workers", redis.url, _WORKERS) as workers,
    ):
        connection = Connection(redis.url)
        embedder = StaticEmbedder()
        store = RedisStore(connection, embedder_tag=embedder.tag)
        try:
            while ledger.wants(WORKERS) or ledger.wants(REDIS):
                watcher = Watcher(store, embedder)
                queues = random.random() < _QUEUES
                cast = new_cast(_SPEAKERS, "queue" if queues else "parallel")
                for _ in range(_ROUNDS_OF_A_CAST):
                    if ledger.wants(WORKERS):
                        await _kill(WORKERS, redis, workers, cast, ledger)
                        await look(store, watcher, workers, cast, ledger)
                    if ledger.wants(REDIS):
                        await _kill(REDIS, redis, workers, cast, ledger)
                        await look(store, watcher, workers, cast, ledger)
                    ledger.save()
                await erase(store, workers, cast, ledger)
        finally:
            await connection.aclose()


def new_cast(count: int, policy: str = "parallel") -> list[Speaker]:
    """Users whom nobody has heard of, of several profiles."""
    name = os.urandom(4).hex()
    return [
        Speaker(f"{name}-{one}", "layered" if one % 3 == 0 else "vector", policy)
        for one in range(count)
    ]


async def _kill(
    what: str, redis: EmbeddedRedis, workers: Workers, cast: Sequence[Speaker], ledger: Ledger
) -> None:
    if what == WORKERS:
        await workers.replaced()
    stop = asyncio.Event()
    talking = asyncio.gather(*(one.talk(lambda: workers.urls, stop, ledger) for one in cast))
    await asyncio.sleep(random.uniform(0.02, 0.3))
    if what == WORKERS:
        place = random.randrange(len(workers.urls))
        await workers.kill(place)
        ledger.add(WORKERS)
        await asyncio.sleep(random.uniform(0.02, 0.2))
        stop.set()
        await talking
        return
    assert redis.pid
    os.kill(redis.pid, signal.SIGKILL)
    ledger.add(REDIS)
    await back(redis, workers, ledger)
    await asyncio.sleep(random.uniform(0.02, 0.2))
    stop.set()
    await talking


async def back(redis: EmbeddedRedis, workers: Workers, ledger: Ledger) -> None:
    """Wait until Redis answers, and every worker with it."""
    began = time.monotonic()
    while not await answers(redis.socket):  # noqa: ASYNC110 - another process is waited for
        await asyncio.sleep(0.01)
    ledger.time("Redis away", time.monotonic() - began)
    began = time.monotonic()
    for url in workers.urls:
        async with Line(url) as line:
            while (await line.ask("GET", "/readyz")).status != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    ledger.time("recovery of workers after it", time.monotonic() - began)


async def look(
    store: RedisStore, watcher: Watcher, workers: Workers, cast: Sequence[Speaker], ledger: Ledger
) -> None:
    """Compare the stored data and every kind of index with the acknowledged turns."""
    for one in cast:
        await check_acknowledged(store, one, ledger)
        await watcher.check(one.user, ledger)
    for url in workers.urls:
        await watcher.check_worker(url, random.choice(cast).user, ledger)


async def erase(
    store: RedisStore, workers: Workers, cast: Sequence[Speaker], ledger: Ledger
) -> None:
    """Erase the cast, so that the campaign does not grow; nothing may be left."""
    async with Line(workers.urls[0]) as line:
        for one in cast:
            await line.ask("DELETE", f"/v1/users/{one.id}")
            left = await stored_turns(store, one.user, ledger)
            ledger.check("an erased user is gone", not left, one.id)
