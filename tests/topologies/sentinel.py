"""A primary with replicas, and Sentinels that watch it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.topologies.node import Node, until

_NAME = "mine"
_OPTIONS = ("--appendonly", "yes", "--save", "", "--loglevel", "warning")
_CONFIGURATION = """\
sentinel monitor {name} 127.0.0.1 {port} {quorum}
sentinel down-after-milliseconds {name} 1000
sentinel failover-timeout {name} 6000
sentinel parallel-syncs {name} 8
"""


class Watched:
    """Nodes and Sentinels; the first node begins as the primary (`begun`).

    Args:
        folder: for their files.
        replicas: of the primary.
        sentinels: how many; more than half of them agree on a failover.
    """

    def __init__(self, folder: Path, *, replicas: int = 2, sentinels: int = 3) -> None:
        first = Node(folder / "node-0", *_OPTIONS)
        follow = (*_OPTIONS, "--replicaof", "127.0.0.1", str(first.port))
        others = (Node(folder / f"node-{one + 1}", *follow) for one in range(replicas))
        self.nodes = [first, *others]
        self.begun = self.nodes[:1]
        self._quorum = sentinels // 2 + 1
        self._files = [folder / f"sentinel-{number}.conf" for number in range(sentinels)]
        self.sentinels = [
            Node(file.with_suffix(""), "--sentinel", first=(str(file),)) for file in self._files
        ]
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        self.url = f"redis+sentinel://{hosts}/{_NAME}"

    async def form(self) -> None:
        """Start all of it."""
        for node in self.nodes:
            await node.start()
        for file, sentinel in zip(self._files, self.sentinels, strict=True):
            port, quorum = self.nodes[0].port, self._quorum
            file.write_text(_CONFIGURATION.format(name=_NAME, port=port, quorum=quorum))
            await sentinel.start()
        await until(self.is_whole)

    async def primary_of(self, key: str) -> Node:
        """The node that takes writes, of whatever key."""
        del key
        _, port = await self.sentinels[0].ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", _NAME)
        return next(node for node in self.nodes if node.port == int(port))

    async def replicas_of(self, primary: Node) -> list[Node]:
        """The nodes that follow the primary."""
        found = [(one, await one.info("replication")) for one in self.nodes if one.runs]
        return [one for one, info in found if info.get("master_port") == primary.port]

    async def is_whole(self) -> bool:
        """Whether every replica follows the primary, and the Sentinels know all of it."""
        primary = await self.primary_of("")
        if (await primary.info("replication")).get("role") != "master":
            return False
        others = await self.replicas_of(primary)
        linked = [(await one.info("replication")).get("master_link_status") for one in others]
        if linked.count("up") != len(self.nodes) - 1:
            return False
        return all([await self._knows_all(one, primary) for one in self.sentinels])

    async def mend(self) -> None:
        """Start what was killed, and wait until all follow one primary again."""
        for node in self.nodes:
            if not node.runs:
                await node.start()
        await until(self.is_whole)

    async def close(self) -> None:
        """End all of it."""
        for node in (*self.sentinels, *self.nodes):
            await node.close()

    async def _knows_all(self, sentinel: Node, primary: Node) -> bool:
        info = (await sentinel.info("sentinel")).get("master0", {})
        return (
            info.get("address") == f"127.0.0.1:{primary.port}"
            and info.get("slaves") == len(self.nodes) - 1
            and info.get("sentinels") == len(self.sentinels)
            and info.get("status") == "ok"
        )


@asynccontextmanager
async def running_sentinels(folder: Path, **shape: Any) -> AsyncGenerator[Watched]:
    """Sentinels and what they watch for as long; a primary with two replicas by default."""
    watched = Watched(folder, **shape)
    try:
        await watched.form()
        yield watched
    finally:
        await watched.close()
