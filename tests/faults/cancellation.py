"""Cancels requests in flight; every text of a user contains a mark of that user."""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from onionskin.memory.store import Connection, RedisStore
from onionskin.memory.store.redis.embedded import EmbeddedRedis
from onionskin.memory.types.messages import User
from tests.faults.deployment import working
from tests.faults.http_connection import Line, LostError
from tests.faults.results_file import Ledger
from tests.faults.stored_state import stored_turns
from tests.faults.workers import Workers

CANCELLED = "requests cancelled"
_WORKERS, _USERS, _CLIENTS, _BLOCK = 4, 8, 32, 5_000
_WHOLE = 1 / 10
_SOON, _LATE = 0.012, 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Canary:
    """A user and the mark that all their data contain."""

    id: str
    mark: str

    def request(self) -> tuple[str, str, dict[str, object] | None]:
        """A random request whose answer contains the mark."""
        home = f"/v1/users/{self.id}"
        body: dict[str, object] = {
            "user_id": self.id,
            "message": f"Which lamp is {self.mark}? I ask by the river of {self.mark}.",
            "profile": random.choice(("window", "window", "vector")),
            "on_conflict": "parallel",
        }
        return random.choice(
            (
                *(("POST", "/v1/chat", body | {"stream": True}),) * 2,
                *(("GET", f"{home}/export", None),) * 2,
                *(("GET", f"{home}/sessions", None),) * 2,
                *(("GET", f"{home}/memories", None),) * 2,
                ("POST", f"{home}/memories/search", {"query": "lamp"}),
                ("POST", "/v1/chat", body),
            )
        )


async def run(ledger: Ledger, folder: Path) -> None:
    """Cancel requests until the goal is reached; each block has new users."""
    offline = {"ONIONSKIN_MODEL": "offline", "ONIONSKIN_MODEL_BASE_URL": ""}
    async with (
        EmbeddedRedis(folder / "redis") as redis,
        working(folder / "workers", redis.url, _WORKERS, **offline) as workers,
    ):
        connection = Connection(redis.url)
        store = RedisStore(connection, embedder_tag="")
        try:
            while ledger.wants(CANCELLED):
                names = [random.randbytes(6).hex() for _ in range(_USERS)]
                canaries = [Canary(f"u-{name}", f"mark{name}") for name in names]
                for one in canaries:
                    await plant(workers.urls[0], one)
                upto = ledger.counts[CANCELLED] + _BLOCK
                await asyncio.gather(
                    *(hang_up_often(workers, canaries, upto, ledger) for _ in range(_CLIENTS))
                )
                for one in canaries:
                    await _check(store, workers, one, canaries, ledger)
                ledger.save()
        finally:
            await connection.aclose()


async def plant(url: str, canary: Canary) -> None:
    """Store turns and a record that contain the user's mark."""
    async with Line(url) as line:
        for number in range(4):
            said = f"The lamp of {canary.mark} is by the river, {number}."
            body = {"user_id": canary.id, "message": said, "profile": "vector"}
            assert (await line.ask("POST", "/v1/chat", body)).status == 200
        kept = {"content": f"The lamp is {canary.mark}."}
        answer = await line.ask("POST", f"/v1/users/{canary.id}/memories", kept)
        assert answer.status == 201, answer


async def hang_up_often(
    workers: Workers, canaries: Sequence[Canary], upto: int, ledger: Ledger
) -> None:
    """Send requests and disconnect; one in ten reads its whole answer."""
    lines = [Line(url) for url in workers.urls]
    while ledger.wants(CANCELLED) and ledger.counts[CANCELLED] < upto:
        canary, line = random.choice(canaries), random.choice(lines)
        if random.random() < _WHOLE:
            try:
                answer = await line.ask(*canary.request())
            except LostError:
                ledger.add("answers broken off for want of time")
                continue
            if answer.code == "store_unavailable":
                ledger.add("answered 503 for want of time")
                continue
            ledger.check("a whole answer is right", answer.status in {200, 201}, answer)
            ledger.check("it is of its own user", canary.mark.encode() in answer.body, answer)
            _silence(answer.body, canary, canaries, ledger)
            continue
        await line.send(*canary.request())
        heard = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(random.choice((random.uniform(0, _SOON), _LATE))):
                heard = await line.piece()
        line.hang_up()
        ledger.add(CANCELLED)
        ledger.add("of these, when the answer had begun", int(bool(heard)))
        _silence(heard, canary, canaries, ledger)
    for line in lines:
        line.hang_up()


def _silence(heard: bytes, canary: Canary, canaries: Sequence[Canary], ledger: Ledger) -> None:
    """Check that an answer contains no mark of another user."""
    others = [one.mark for one in canaries if one != canary and one.mark.encode() in heard]
    ledger.check("no byte of another user", not others, f"{canary} heard {others}")


async def _check(
    store: RedisStore,
    workers: Workers,
    canary: Canary,
    canaries: Sequence[Canary],
    ledger: Ledger,
) -> None:
    for one, replied in (await stored_turns(store, User(canary.id), ledger)).values():
        stored = f"{one.message.content} {replied.message.content if replied else ''}".encode()
        _silence(stored, canary, canaries, ledger)
    async with Line(workers.urls[0]) as line:
        await line.ask("DELETE", f"/v1/users/{canary.id}")
