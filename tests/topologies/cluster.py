"""A Redis Cluster: primaries, each with replicas."""

import gc
import warnings
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from redis.crc import key_slot

from tests.topologies.node import Node, until

_SLOTS = 16384
_OPTIONS = (
    "--cluster-enabled",
    "yes",
    "--appendonly",
    "yes",
    "--save",
    "",
    "--loglevel",
    "warning",
)


class Cluster:
    """Nodes; the first ones begin as primaries (`begun`).

    Args:
        folder: for their files.
        primaries: how many.
        replicas: of each primary.
        node_timeout: milliseconds after which a silent node is failed over.
        options: of each node.
    """

    def __init__(
        self,
        folder: Path,
        *,
        primaries: int = 3,
        replicas: int = 1,
        node_timeout: int = 1000,
        options: tuple[str, ...] = (),
    ) -> None:
        self._primaries, self._replicas = primaries, replicas
        every = (*_OPTIONS, "--cluster-node-timeout", str(node_timeout), *options)
        count = primaries * (1 + replicas)
        self.nodes = [Node(folder / f"node-{number}", *every) for number in range(count)]
        self.begun = self.nodes[:primaries]
        self.url = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    async def form(self) -> None:
        """Start all nodes, and make a cluster of them."""
        for node in self.nodes:
            await node.start()
        share = _SLOTS // self._primaries
        for number, node in enumerate(self.nodes):
            await node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number < self._primaries:
                last = _SLOTS if number == self._primaries - 1 else (number + 1) * share
                await node.ask("CLUSTER", "ADDSLOTSRANGE", number * share, last - 1)
            await node.ask("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        await until(self._know_each_other)
        for number, node in enumerate(self.nodes[self._primaries :]):
            primary = self.nodes[number % self._primaries]
            await node.ask("CLUSTER", "REPLICATE", await primary.ask("CLUSTER", "MYID"))
        await until(self.is_whole)

    async def primary_of(self, key: str) -> Node:
        """The node that takes writes of a key."""
        slot = key_slot(key.encode())
        for first, last, (_, port, *_), *_ in await self._slots():
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise AssertionError(f"nobody has slot {slot}")

    async def replicas_of(self, primary: Node) -> list[Node]:
        """The nodes that follow a primary."""
        found = [(one, await one.info("replication")) for one in self.nodes if one.runs]
        return [one for one, info in found if info.get("master_port") == primary.port]

    async def is_whole(self) -> bool:
        """Whether all nodes run, agree, and every replica follows its primary."""
        roles = [await node.info("replication") for node in self.nodes]
        followers = sum(one.get("master_link_status") == "up" for one in roles)
        linked = sum(int(one.get("connected_slaves", 0)) for one in roles)
        if not followers == linked == self._primaries * self._replicas:
            return False
        return all([await self._is_fine(node) for node in self.nodes])

    async def mend(self) -> None:
        """Start what was killed, and wait until the cluster is whole."""
        for node in self.nodes:
            if not node.runs:
                await node.start()
        await until(self.is_whole)

    async def close(self) -> None:
        """End all nodes."""
        for node in self.nodes:
            await node.close()

    async def _know_each_other(self) -> bool:
        return all([await self._is_fine(node) for node in self.nodes])

    async def _is_fine(self, node: Node) -> bool:
        info = str(await node.ask("CLUSTER", "INFO"))
        return "cluster_state:ok" in info and f"cluster_known_nodes:{len(self.nodes)}" in info

    async def _slots(self) -> list[tuple[int, int, list[object]]]:
        node = next(node for node in self.nodes if node.runs)
        return await node.ask("CLUSTER", "SLOTS")


@asynccontextmanager
async def running_cluster(folder: Path, **shape: Any) -> AsyncGenerator[Cluster]:
    """A cluster for as long, of three primaries with a replica each unless it is said otherwise."""
    cluster = Cluster(folder, **shape)
    try:
        await cluster.form()
        yield cluster
    finally:
        await cluster.close()
        let_go()


def let_go() -> None:
    """Collect what redis-py forgets to close when a node leaves a cluster."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
