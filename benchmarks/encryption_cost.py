"""Measures the cost of encryption at rest: for a turn, and for building an index.

    .venv/bin/python -m onionskin.benchmarks.encryption_cost --messages 10000 --turns 400

One embedded Redis (`appendfsync always`) has two stores with a user each, plain and encrypted, in
one process, without HTTP and without a model. Measurements alternate between both, because the
machine may be busy with other work. Each line has the p50 of both and their ratio.
"""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from onionskin.memory.combined import CombinedMemory
from onionskin.memory.profiles import load_profiles
from onionskin.memory.retrieval import (
    IndexCache,
    StaticEmbedder,
    TextPipeline,
    UserIndex,
)
from onionskin.memory.store import (
    Connection,
    EmbeddedRedis,
    Keyring,
    RedisStore,
    generate_master_key,
    read_master_keys,
)
from onionskin.memory.types.messages import Message, Session, User

_BATCH = 200
_WORDS = [
    head + tail for head in ("ba", "do", "fi", "ge", "ku") for tail in ("ra", "se", "ti", "mo")
]
_PLAIN, _ENCRYPTED = "plain", "encrypted"


class Side:
    """A store, with a user and a worker's memory."""

    def __init__(self, connection: Connection, name: str, embedder: StaticEmbedder) -> None:
        masters = read_master_keys(generate_master_key("k1")) if name == _ENCRYPTED else None
        self.user, self.embedder = User(name), embedder
        self.store = RedisStore(
            connection, embedder_tag=embedder.tag, keyring=Keyring(connection, masters)
        )
        self.memory = CombinedMemory(
            "vector",
            load_profiles()["vector"],
            store=self.store,
            embedder=embedder,
            indexes=self.new_indexes(),
        )
        self.turns = 0

    def new_indexes(self) -> IndexCache:
        """The empty index cache of a new worker."""
        text_pipeline = TextPipeline.for_language()
        return IndexCache(self.store, lambda: UserIndex(text_pipeline), max_bytes=4 << 30)

    async def fill(self, messages: int) -> None:
        """Store messages with vectors, in sessions of a batch each."""
        draw = random.Random(7)
        for start in range(0, messages, _BATCH):
            texts = [_sentence(draw) for _ in range(min(_BATCH, messages - start))]
            vectors = await self.embedder.embed(texts)
            batch = [
                (Message("user", text, float(start)), vector)
                for text, vector in zip(texts, vectors, strict=True)
            ]
            session = Session(f"s_{start:016x}", start, start)
            await self.store.transcripts.commit(self.user, session, batch, create=True)

    async def turn(self) -> None:
        """Recall, then remember, with a new session every twenty turns."""
        self.turns += 1
        text, now = (
            f"What of {_WORDS[self.turns % 20]}?",
            1e6 + self.turns + 10_000 * (self.turns // 20),
        )
        recalled = await self.memory.recall(self.user, text, session_id=None, now=now)
        await self.memory.remember(recalled, f"Nothing of it, {_WORDS[self.turns % 7]}.", at=now)

    async def build_index(self) -> None:
        """Build the user's index in a new worker."""
        indexes = self.new_indexes()
        await indexes.catch_up(
            self.user,
            await self.store.transcripts.changes_since(self.user, indexes.cursor(self.user)),
        )


async def main() -> None:
    """Measure, and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # pyright: ignore[reportOptionalMemberAccess]
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=400)
    parser.add_argument("--builds", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        async with EmbeddedRedis(Path(folder)) as redis:
            connection = Connection(redis.url)
            embedder = StaticEmbedder()
            sides = [Side(connection, name, embedder) for name in (_PLAIN, _ENCRYPTED)]
            for side in sides:
                await side.fill(options.messages)
                await side.turn()
            await _compare("turn", [side.turn for side in sides], options.turns)
            name = f"building an index of {options.messages} messages"
            await _compare(name, [side.build_index for side in sides], options.builds)
            for side in sides:
                storage = await side.store.users.storage(side.user)
                print(f"{side.user.id}: {storage.bytes / options.messages:.0f} bytes per message")
            await connection.aclose()


async def _compare(name: str, sides: list[Callable[[], Awaitable[None]]], rounds: int) -> None:
    durations: list[list[float]] = [[], []]
    for number in range(rounds):
        for side in (0, 1) if number % 2 else (1, 0):
            began = time.perf_counter()
            await sides[side]()
            durations[side].append((time.perf_counter() - began) * 1000)
    plain, encrypted = map(statistics.median, durations)
    print(
        f"{name}: p50 plain {plain:.2f} ms, encrypted {encrypted:.2f} ms, "
        f"ratio {encrypted / plain:.3f} ({rounds} each)"
    )


def _sentence(draw: random.Random) -> str:
    return " ".join(draw.choice(_WORDS) for _ in range(16))


if __name__ == "__main__":
    asyncio.run(main())
