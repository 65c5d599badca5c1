"""Power losses of Redis under load: every file is cut back to what was synced to disk."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from onionskin.memory.retrieval import StaticEmbedder
from onionskin.memory.store import Connection, RedisStore
from tests.conftest import plain_client
from tests.faults.crashes import erase, look, new_cast
from tests.faults.deployment import working
from tests.faults.index_comparison import Watcher
from tests.faults.power import Moment, PowerlessRedis
from tests.faults.results_file import Ledger
from tests.faults.simulated_users import Speaker
from tests.faults.workers import Workers

LOSSES = "power losses"
_WORKERS, _SPEAKERS, _ROUNDS_OF_A_CAST, _FSYNCS = 2, 6, 8, 60
_REWRITES = 1 / 5


async def run(ledger: Ledger, folder: Path) -> None:
    """Lose power until the goal is reached; after each loss, look for all acknowledged turns."""
    async with (
        PowerlessRedis(folder / "redis") as redis,
        working(folder / "workers", redis.url, _WORKERS) as workers,
    ):
        connection, embedder = Connection(redis.url), StaticEmbedder()
        store = RedisStore(connection, embedder_tag=embedder.tag)
        try:
            while ledger.wants(LOSSES):
                watcher, cast = Watcher(store, embedder), new_cast(_SPEAKERS)
                for _ in range(_ROUNDS_OF_A_CAST):
                    if ledger.wants(LOSSES):
                        await _lose(redis, workers, cast, ledger)
                        await look(store, watcher, workers, cast, ledger)
                    ledger.save()
                await erase(store, workers, cast, ledger)
        finally:
            await connection.aclose()


async def _lose(
    redis: PowerlessRedis, workers: Workers, cast: Sequence[Speaker], ledger: Ledger
) -> None:
    stop = asyncio.Event()
    talking = asyncio.gather(*(one.talk(lambda: workers.urls, stop, ledger) for one in cast))
    await asyncio.sleep(random.uniform(0.02, 0.3))
    if random.random() < _REWRITES:
        client = plain_client(redis.url)
        await client.bgrewriteaof()
        await client.aclose()
        ledger.add("while the log was rewritten")
    moment: Moment = random.choice(get_args(Moment))
    lost = await redis.lose_power(moment, within=_FSYNCS)
    ledger.add(LOSSES)
    ledger.add(f"power lost {moment}")
    ledger.add("bytes lost that were not on disk", lost)
    ledger.add("power losses that tore the log", int(lost > 0))
    await redis.start()
    await asyncio.sleep(random.uniform(0.02, 0.2))
    stop.set()
    await talking
