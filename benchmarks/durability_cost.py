"""Measures the cost of each durability setting: a turn's recall and remember, interleaved.

    .venv/bin/python -m onionskin.benchmarks.durability_cost --turns 200

There are two primaries on loopback with a replica each, one pair with `appendfsync everysec` and
one with `always`. Each setting has a user, in one process, without HTTP and without a model. Each
line has the p50, the p95, and the ratio of the p50 to that of the first line.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

from onionskin.memory.combined import CombinedMemory
from onionskin.memory.profiles import load_profiles
from onionskin.memory.retrieval import (
    IndexCache,
    StaticEmbedder,
    TextPipeline,
    UserIndex,
)
from onionskin.memory.store import Connection, Durability, RedisStore
from onionskin.memory.types.messages import User
from tests.topologies.node import Node, until

_FSYNCS = ("everysec", "always")
_DURABILITIES = ("primary", "replicas:1", "disks:1")
_TIMEOUT = timedelta(seconds=10)


class Side:
    """A durability setting, with its user and memory."""

    def __init__(self, fsync: str, port: int, durability: str, embedder: StaticEmbedder) -> None:
        self.name = f"appendfsync {fsync}, {durability}"
        self.connection = Connection(
            f"redis://127.0.0.1:{port}", timeout=_TIMEOUT, durability=Durability.of(durability)
        )
        store, text_pipeline = (
            RedisStore(self.connection, embedder_tag=embedder.tag),
            TextPipeline.for_language(),
        )
        self.memory = CombinedMemory(
            "vector",
            load_profiles()["vector"],
            store=store,
            embedder=embedder,
            indexes=IndexCache(store, lambda: UserIndex(text_pipeline), max_bytes=4 << 30),
        )
        self.user, self.durations = User(durability.replace(":", "-")), list[float]()

    async def turn(self, number: int) -> None:
        """Recall, then remember."""
        began = time.perf_counter()
        recalled = await self.memory.recall(
            self.user, f"What of the river, {number}?", session_id=None, now=float(number)
        )
        await self.memory.remember(recalled, f"It was high, {number} times.", at=float(number))
        self.durations.append((time.perf_counter() - began) * 1000)


async def main() -> None:
    """Measure, and print a line for each setting."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=200)
    turns: int = parser.parse_args().turns
    embedder, sides = StaticEmbedder(), list[Side]()
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            for fsync in _FSYNCS:
                port = await _pair(stack, Path(folder), fsync)
                for durability in _DURABILITIES:
                    side = Side(fsync, port, durability, embedder)
                    stack.push_async_callback(side.connection.aclose)
                    sides.append(side)
            for number in range(turns):
                for place in range(len(sides)):
                    await sides[(place + number) % len(sides)].turn(number)
    first = statistics.median(sides[0].durations)
    for side in sides:
        p50, p95 = statistics.median(side.durations), statistics.quantiles(side.durations, n=20)[-1]
        print(f"{side.name}: p50 {p50:.2f} ms, p95 {p95:.2f} ms, ratio {p50 / first:.2f}")


async def _pair(stack: AsyncExitStack, folder: Path, fsync: str) -> int:
    """The port of a started primary with a replica."""
    options = ("--appendonly", "yes", "--appendfsync", fsync, "--save", "")
    primary = Node(folder / f"{fsync}-primary", *options)
    follow = ("--replicaof", "127.0.0.1", str(primary.port))
    replica = Node(folder / f"{fsync}-replica", *options, *follow)
    for node in (primary, replica):
        stack.push_async_callback(node.close)
        await node.start()

    async def follows() -> bool:
        return (await replica.info("replication")).get("master_link_status") == "up"

    await until(follows)
    return primary.port


if __name__ == "__main__":
    asyncio.run(main())
