"""Half an hour of 2,000 users before two workers, with restarts: nothing grows that should not.

One worker lives through it all and is measured; the other, and Redis, are stopped now and then.
"""

import asyncio
import contextlib
import itertools
import os
import random
import signal
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from onionskin.memory.errors import OnionskinError
from onionskin.memory.store import Connection, RedisStore, keys
from onionskin.memory.store.redis.embedded import EmbeddedRedis
from tests.faults.crashes import back
from tests.faults.deployment import working
from tests.faults.http_connection import Line
from tests.faults.resource_samples import KILOBYTE, MEGABYTE, Samples
from tests.faults.results_file import Ledger
from tests.faults.soak_plot import draw
from tests.faults.soak_run import Soaker, share
from tests.faults.stored_state import check_acknowledged
from tests.faults.workers import Workers

SECONDS = "seconds"
_WORKERS, _USERS, _CLIENTS = 2, 2_000, 16
_VIEW_BYTES = 60 * MEGABYTE
_GROWTH, _BESIDE_VIEWS, _MORE_FILES = 3.0, 150 * MEGABYTE, 8
_SAMPLES, _RESTARTS = 360, 15  # in all
_QUIET = timedelta(seconds=60)
_LEFT = {
    *(keys.PSEUDONYM_KEY, keys.EMBEDDERS, keys.REWRITE_DUE, keys.ERASED_EPOCHS),
}
"""What stays in Redis when every user is erased; the last two for a while."""


@dataclass(frozen=True, slots=True)
class _Scene:
    redis: EmbeddedRedis
    workers: Workers
    store: RedisStore
    samples: Samples
    ledger: Ledger


async def run(ledger: Ledger, folder: Path) -> None:
    """Run for the planned time; an aborted run starts again."""
    if ledger.complete:
        return
    ledger.counts.clear()
    settings = {
        "ONIONSKIN_VIEW_BYTES": str(_VIEW_BYTES),
        "ONIONSKIN_QUARANTINE": "on",
        "ONIONSKIN_JOB_HOLD": "5",
    }
    async with (
        EmbeddedRedis(folder / "redis") as redis,
        working(folder / "workers", redis.url, _WORKERS, **settings) as workers,
    ):
        connection = Connection(redis.url)
        store, samples = RedisStore(connection, embedder_tag=""), Samples(connection)
        try:
            await _soak(_Scene(redis, workers, store, samples, ledger))
        finally:
            await connection.aclose()
            samples.save(ledger.beside("samples.json"))
            draw(samples, ledger.beside("samples.png"))


async def _soak(scene: _Scene) -> None:
    ledger, workers, samples = scene.ledger, scene.workers, scene.samples
    soakers = [Soaker(users, ledger) for users in share(_USERS, _CLIENTS)]
    witness, before = workers.running[0].pid, await samples.take(workers.running, 0)
    stop = asyncio.Event()
    talking = [asyncio.create_task(one.talk(lambda: workers.urls, stop)) for one in soakers]
    try:
        await _watch(scene)
    finally:
        stop.set()
        await asyncio.gather(*talking)
    await workers.replaced()
    last = await samples.take(workers.running, samples.taken[-1].turns)
    messages = await _count(scene.store, soakers, ledger)
    ledger.counts["messages at the end"] = messages
    used = (last.redis - before.redis) / max(messages, 1) * 1_000
    ledger.counts["KB of Redis for 1,000 messages"] = round(used / KILOBYTE)
    ledger.counts["keys at the end"] = last.keys
    _judge(scene, witness)
    await _erase_all(scene, soakers)
    after = await samples.take(workers.running, last.turns)
    ledger.counts["KB more in Redis than before, when all are erased"] = max(
        0, round((after.redis - before.redis) / KILOBYTE)
    )


async def _watch(scene: _Scene) -> None:
    """Sample and restart, until it is over."""
    ledger, began = scene.ledger, time.monotonic()
    goal = ledger.goals[SECONDS]
    harms, harmed = itertools.cycle((_terminate, _kill, _restart_redis)), 1
    for number in itertools.count(1):
        due = began + number * max(1.0, goal / _SAMPLES)
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        passed = time.monotonic() - began
        ledger.counts[SECONDS] = min(round(passed), goal)
        ledger.on_change()
        with contextlib.suppress(OnionskinError):
            turns = ledger.counts["turns acknowledged"]
            await scene.samples.take(scene.workers.running, turns)
        if passed >= goal:
            return
        if passed > harmed * goal / (_RESTARTS + 1):
            harmed += 1
            await next(harms)(scene)


async def _terminate(scene: _Scene) -> None:
    await scene.workers.replaced()
    await scene.workers.kill(1, signal.SIGTERM)
    scene.ledger.add("workers stopped")


async def _kill(scene: _Scene) -> None:
    await scene.workers.replaced()
    await scene.workers.kill(1)
    scene.ledger.add("workers killed")


async def _restart_redis(scene: _Scene) -> None:
    assert scene.redis.pid
    os.kill(scene.redis.pid, random.choice((signal.SIGTERM, signal.SIGKILL)))
    scene.ledger.add("Redis restarted")
    await back(scene.redis, scene.workers, scene.ledger)


def _judge(scene: _Scene, witness: int) -> None:
    ledger, samples = scene.ledger, scene.samples
    growth, seen = samples.growth(witness), samples.of(witness)
    first, most = seen[0][1].rss, max(process.rss for _, process in seen)
    ledger.counts["MB of a worker, at first"] = first // MEGABYTE
    ledger.counts["MB of a worker, at most"] = most // MEGABYTE
    bound = first + _VIEW_BYTES + _BESIDE_VIEWS
    ledger.check("indexes keep to their bound", most < bound, f"{most / MEGABYTE:.0f} MB")
    if growth is not None:
        ledger.counts["KB that a worker grew by for 10,000 turns"] = round(growth * KILOBYTE)
        ledger.check("memory levels off", growth < _GROWTH, f"{growth:.1f} MB for 10,000 turns")
    early, late = samples.descriptors(witness)
    ledger.counts["open files of a worker"] = late
    ledger.check("no open files leak", late <= early + _MORE_FILES, f"{early}, then {late}")


async def _count(store: RedisStore, soakers: list[Soaker], ledger: Ledger) -> int:
    """Compare the stored turns with the acknowledged ones; return the number of messages."""
    for soaker in soakers:
        for speaker in soaker.speakers:
            await check_acknowledged(store, speaker, ledger)
    return ledger.counts["checked: a reply belongs to its message"] * 2


async def _erase_all(scene: _Scene, soakers: list[Soaker]) -> None:
    """Erase all users; soon only documented keys are left."""
    async with Line(scene.workers.urls[0]) as line:
        for soaker in soakers:
            for speaker in soaker.speakers:
                answer = await line.ask("DELETE", f"/v1/users/{speaker.id}")
                scene.ledger.check("a user is erased", answer.status == 200, answer)
    left = await _left(scene.store)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_QUIET.total_seconds()):
            while left:
                await asyncio.sleep(1)
                left = await _left(scene.store)
    scene.ledger.check("no keys leak", not left, sorted(left)[:5])


async def _left(store: RedisStore) -> set[str]:
    return {name async for name in store.connection.scan_keys("*")} - _LEFT
