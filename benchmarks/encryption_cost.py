"""What encryption at rest costs: a turn, and a view that is filled anew, plain and sealed by turns.

    .venv/bin/python -m onionskin.benchmarks.encryption_cost --messages 10000 --turns 400

One embedded Redis (`appendfsync always`), two users on two stores in one process, without HTTP and
without a model. Plain and sealed are measured by turns, because the machine may be busy with other
things; each line has the p50 of both and the ratio.
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
_WORDS = [one + two for one in ("ba", "do", "fi", "ge", "ku") for two in ("ra", "se", "ti", "mo")]
_PLAIN, _SEALED = "plain", "sealed"


class Side:
    """A store with a user in it, and a worker on it."""

    def __init__(self, connection: Connection, name: str, embedder: StaticEmbedder) -> None:
        masters = read_master_keys(generate_master_key("k1")) if name == _SEALED else None
        self.user, self.embedder = User(name), embedder
        self.store = RedisStore(
            connection, embedder_tag=embedder.tag, keyring=Keyring(connection, masters)
        )
        self.memory = CombinedMemory(
            "vector",
            load_profiles()["vector"],
            store=self.store,
            embedder=embedder,
            indexes=self.views(),
        )
        self.said = 0

    def views(self) -> IndexCache:
        """Those of a worker that holds none yet."""
        text_pipeline = TextPipeline.for_language()
        return IndexCache(self.store, lambda: UserIndex(text_pipeline), max_bytes=4 << 30)

    async def fill(self, messages: int) -> None:
        """Store so many messages with vectors, in sessions of a batch each."""
        draw = random.Random(7)
        for start in range(0, messages, _BATCH):
            texts = [_sentence(draw) for _ in range(min(_BATCH, messages - start))]
            vectors = await self.embedder.embed(texts)
            said = [
                (Message("user", text, float(start)), vector)
                for text, vector in zip(texts, vectors, strict=True)
            ]
            session = Session(f"s_{start:016x}", start, start)
            await self.store.transcripts.commit(self.user, session, said, create=True)

    async def turn(self) -> None:
        """Recall, then remember; a new session every twenty turns."""
        self.said += 1
        text, now = (
            f"What of {_WORDS[self.said % 20]}?",
            1e6 + self.said + 10_000 * (self.said // 20),
        )
        found = await self.memory.recall(self.user, text, session_id=None, now=now)
        await self.memory.remember(found, f"Nothing of it, {_WORDS[self.said % 7]}.", at=now)

    async def cold_view(self) -> None:
        """Fill a new worker's view."""
        views = self.views()
        await views.catch_up(
            self.user,
            await self.store.transcripts.changes_since(self.user, views.cursor(self.user)),
        )


async def main() -> None:
    """Run, and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # pyright: ignore[reportOptionalMemberAccess]
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=400)
    parser.add_argument("--views", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        async with EmbeddedRedis(Path(folder)) as redis:
            connection = Connection(redis.url)
            embedder = StaticEmbedder()
            sides = [Side(connection, name, embedder) for name in (_PLAIN, _SEALED)]
            for side in sides:
                await side.fill(options.messages)
                await side.turn()
            await _compare("turn", [side.turn for side in sides], options.turns)
            cold = f"cold view of {options.messages} messages"
            await _compare(cold, [side.cold_view for side in sides], options.views)
            for side in sides:
                room = await side.store.users.storage(side.user)
                print(f"{side.user.id}: {room.bytes / options.messages:.0f} bytes a message")
            await connection.aclose()


async def _compare(name: str, sides: list[Callable[[], Awaitable[None]]], rounds: int) -> None:
    took: list[list[float]] = [[], []]
    for number in range(rounds):
        for side in (0, 1) if number % 2 else (1, 0):
            began = time.perf_counter()
            await sides[side]()
            took[side].append((time.perf_counter() - began) * 1000)
    plain, sealed = map(statistics.median, took)
    print(
        f"{name}: p50 plain {plain:.2f} ms, sealed {sealed:.2f} ms, ratio {sealed / plain:.3f} "
        f"({rounds} each)"
    )


def _sentence(draw: random.Random) -> str:
    return " ".join(draw.choice(_WORDS) for _ in range(16))


if __name__ == "__main__":
    asyncio.run(main())
