"""SIGKILL of primaries, in a cluster and before Sentinels; turns wait for all replicas."""

import asyncio
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from onionskin.memory.retrieval import StaticEmbedder
from onionskin.memory.store import Connection, RedisStore, keys
from tests.faults.crashes import erase, look, new_cast
from tests.faults.deployment import working
from tests.faults.index_comparison import Watcher
from tests.faults.results_file import Ledger
from tests.faults.simulated_users import Speaker
from tests.faults.workers import Workers
from tests.topologies.cluster import running_cluster
from tests.topologies.node import Node, until
from tests.topologies.sentinel import running_sentinels

CLUSTER, SENTINEL = "primaries of a cluster killed", "primaries before Sentinels killed"
DURABILITY = {CLUSTER: "replicas:1", SENTINEL: "replicas:2"}
"""All replicas of a primary: whichever is elected, it has what was acknowledged."""
_WORKERS, _SPEAKERS, _ROUNDS_OF_A_CAST = 2, 12, 5
_PATIENCE, _TRIES = 0.2, 200
_AWAY_SECONDS = 60.0
_LAGS = 1 / 4  # how often the victim's replica is behind, so that nothing more is acknowledged


class Topology(Protocol):
    """What a primary is killed of.

    Attributes:
        url: for the service.
    """

    url: str

    async def primary_of(self, key: str) -> Node:
        """The node that takes writes of a key."""
        ...

    async def replicas_of(self, primary: Node) -> list[Node]:
        """The nodes that follow it."""
        ...

    async def mend(self) -> None:
        """Start what was killed, and wait until it follows."""
        ...


async def run(ledger: Ledger, folder: Path) -> None:
    """Kill until the goals are reached; after each kill, look for all acknowledged turns."""
    if ledger.wants(CLUSTER):
        async with running_cluster(folder / "cluster") as cluster:
            await _play(CLUSTER, cluster, ledger, folder / "workers-cluster")
    if ledger.wants(SENTINEL):
        async with running_sentinels(folder / "sentinel") as watched:
            await _play(SENTINEL, watched, ledger, folder / "workers-sentinel")


async def _play(what: str, topology: Topology, ledger: Ledger, folder: Path) -> None:
    embedder = StaticEmbedder()
    settings = {"ONIONSKIN_DURABILITY": DURABILITY[what]}
    async with working(folder, topology.url, _WORKERS, **settings) as workers:
        connection = Connection(topology.url)
        store = RedisStore(connection, embedder_tag=embedder.tag)
        try:
            while ledger.wants(what):
                watcher = Watcher(store, embedder)
                cast = new_cast(_SPEAKERS)
                for one in cast:
                    one.patience, one.tries = _PATIENCE, _TRIES
                for _ in range(_ROUNDS_OF_A_CAST):
                    if ledger.wants(what):
                        await _fail_over(what, topology, workers, cast, ledger)
                        await look(store, watcher, workers, cast, ledger)
                    ledger.save()
                await erase(store, workers, cast, ledger)
        finally:
            await connection.aclose()


async def _fail_over(
    what: str, topology: Topology, workers: Workers, cast: Sequence[Speaker], ledger: Ledger
) -> None:
    stop = asyncio.Event()
    talking = asyncio.gather(*(one.talk(lambda: workers.urls, stop, ledger) for one in cast))
    try:
        await asyncio.sleep(random.uniform(0.3, 1.0))
        place = keys.prefix(random.choice(cast).user)
        victim = await topology.primary_of(place)
        behind = await topology.replicas_of(victim) if random.random() < _LAGS else []
        for replica in behind:
            replica.stop()
        if behind:  # what is on the line already would be read later
            await victim.ask("CLIENT", "KILL", "TYPE", "replica")
        await asyncio.sleep(random.uniform(0.02, 0.3))
        await victim.kill()
        for replica in behind:
            replica.go_on()
        ledger.add(what)
        if behind:
            ledger.add("of them with replicas that were behind")
        began = time.monotonic()
        await _failed_over(what, topology, place, victim, ledger)
        await victim.start()  # as its supervisor would; until then it may be the last replica
        await _writes_again(what, began, cast, ledger)
        await topology.mend()
    finally:
        stop.set()
        await talking


async def _failed_over(
    what: str, topology: Topology, place: str, victim: Node, ledger: Ledger
) -> None:
    async def another() -> bool:
        return await topology.primary_of(place) is not victim

    with ledger.timing(f"until another is primary, {what}"):
        await until(another)


async def _writes_again(what: str, began: float, cast: Sequence[Speaker], ledger: Ledger) -> None:
    """Wait until everybody's turns are acknowledged again, by services that were not restarted."""
    acknowledged = [len(one.acknowledged) for one in cast]
    while any(
        len(one.acknowledged) < count + 2 for one, count in zip(cast, acknowledged, strict=True)
    ):
        away = time.monotonic() - began
        if away > _AWAY_SECONDS:
            ledger.check("it recovers without a restart", holds=False, what=what)
            return
        await asyncio.sleep(0.02)
    ledger.check("it recovers without a restart", holds=True)
    ledger.time(f"until everybody writes again, {what}", time.monotonic() - began)
