"""Faults of the network and refusals of Redis: errors are clear, and it recovers by itself."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from onionskin.memory.retrieval import StaticEmbedder
from onionskin.memory.store import Connection, RedisStore
from onionskin.memory.store.redis.embedded import EmbeddedRedis
from tests.conftest import plain_client
from tests.faults.crashes import erase, look, new_cast
from tests.faults.deployment import working
from tests.faults.http_connection import Line, LostError
from tests.faults.index_comparison import Watcher
from tests.faults.network_faults import FAULTS, NetworkFault, Scene
from tests.faults.proxy import proxying
from tests.faults.results_file import Ledger
from tests.faults.simulated_users import Speaker
from tests.faults.workers import Workers

_WORKERS, _SPEAKERS, _TRIES, _TALK_SECONDS = 2, 4, 3, 0.15
_ERROR_WITHIN, _BACK_WITHIN = 2.0, 5.0


async def run(ledger: Ledger, folder: Path) -> None:
    """Every fault in turn, until the goals are reached."""
    async with (
        EmbeddedRedis(folder / "redis") as redis,
        proxying(redis.socket) as proxy,
        working(folder / "workers", proxy.url, _WORKERS) as workers,
    ):
        connection, embedder = Connection(redis.url), StaticEmbedder()
        store = RedisStore(connection, embedder_tag=embedder.tag)
        scene = Scene(proxy, plain_client(redis.url))
        try:
            while any(ledger.wants(fault.name) for fault in FAULTS):
                watcher, cast = Watcher(store, embedder), new_cast(_SPEAKERS, "queue")
                for fault in FAULTS:
                    if ledger.wants(fault.name):
                        await _suffer(fault, scene, workers, cast, ledger)
                        ledger.add(fault.name)
                        await look(store, watcher, workers, cast, ledger)
                ledger.counts["connections cut"] += proxy.harmed
                proxy.harmed = 0
                await erase(store, workers, cast, ledger)
                ledger.save()
        finally:
            await scene.redis.aclose()
            await connection.aclose()


async def _suffer(
    fault: NetworkFault, scene: Scene, workers: Workers, cast: Sequence[Speaker], ledger: Ledger
) -> None:
    stop, before = asyncio.Event(), ledger.counts["answers lost"]
    talking = asyncio.gather(*(one.talk(lambda: workers.urls, stop, ledger) for one in cast))
    await asyncio.sleep(_TALK_SECONDS)
    async with fault.harm(scene):
        if fault.status is None:
            await asyncio.sleep(4 * _TALK_SECONDS)
        else:
            for _ in range(_TRIES):  # the first over a connection that there was
                await asyncio.gather(*(_refused(fault, url, ledger) for url in workers.urls))
    await asyncio.gather(*(_back(fault, url, ledger) for url in workers.urls))
    await asyncio.sleep(_TALK_SECONDS)
    stop.set()
    await talking
    unanswered = ledger.counts["answers lost"] - before
    ledger.check("every request is answered", not unanswered, f"{fault.name}: {unanswered}")


async def _refused(fault: NetworkFault, url: str, ledger: Ledger) -> None:
    """A turn is answered with a clear error in time, and the process stays well."""
    began = time.monotonic()
    body = {"user_id": "nobody", "message": "Is anybody there?"}
    async with Line(url) as line:
        try:
            answer = await line.ask("POST", "/v1/chat", body)
        except LostError as error:
            ledger.fail(f"{fault.name}: no answer but {error}")
            return
        took = time.monotonic() - began
        clear = answer.status == fault.status and answer.code in {
            "store_unavailable",
            "store_refused",
        }
        ledger.check(f"{fault.name}: a clear error", clear, answer)
        if answer.status == 503:
            ledger.check("a 503 says when to try again", answer.headers.get("retry-after"), answer)
            ledger.time(f"{fault.name}: an error after", took)
            ledger.check(
                "the error arrives within 2 s", took < _ERROR_WITHIN, f"{fault.name}: {took:.2f} s"
            )
        alive = await line.ask("GET", "/healthz")
        ledger.check("the process stays well", alive.status == 200, alive)


async def _back(fault: NetworkFault, url: str, ledger: Ledger) -> None:
    """Turns succeed again without a restart."""
    began = time.monotonic()
    body = {"user_id": "nobody", "message": "And now?"}
    async with Line(url) as line:
        while (answer := await line.ask("POST", "/v1/chat", body)).status != 200:
            took = time.monotonic() - began
            if not ledger.check("back within 5 s", took < _BACK_WITHIN, f"{fault.name}: {answer}"):
                return
            await asyncio.sleep(0.02)
    took = time.monotonic() - began
    ledger.time(f"{fault.name}: back after", took)
    ledger.check("back within 5 s", took < _BACK_WITHIN, f"{fault.name}: {took:.2f} s")
