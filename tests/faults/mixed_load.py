"""Many clients on one session, with all other kinds of load on the same workers.

Its session is folded and drawn from. Others hang up in the middle of their requests; others are
erased and come back, and must know nothing of their life before; others fall silent, and expire.
"""

import asyncio
import json
import random
import re
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from onionskin.memory.store.redis.embedded import EmbeddedRedis
from tests.faults.cancellation import CANCELLED, Canary, hang_up_often, plant
from tests.faults.concurrency import POLICIES, crowd
from tests.faults.deployment import echo, working
from tests.faults.http_connection import Answer, Line, LostError
from tests.faults.results_file import Ledger
from tests.faults.workers import Workers
from tests.openai_server import Request

_WORKERS, _CANARIES, _CANCELLERS, _REBORN, _SILENT = 4, 4, 4, 6, 6
_EXPIRY = 12.0  # seconds
_PROFILES = f"""
[profiles.busy]
layers = ["window", "summary", "facts", "vector"]
window = {{ budget_tokens = 300 }}
extraction = {{ enabled = true, messages = 4, quiet_seconds = 1 }}

[retention]
sessions = "PT{_EXPIRY:.0f}S"
"""
_ALWAYS = 1 << 62


def turns(policy: str) -> str:
    """What turns of a policy are counted as."""
    return f"turns, {policy}"


async def run(ledger: Ledger, folder: Path) -> None:
    """Every policy, with everything going on."""
    profiles = folder / "profiles.toml"
    profiles.write_text(_PROFILES)
    settings = {"ONIONSKIN_PROFILES": str(profiles), "ONIONSKIN_QUARANTINE": "on"}
    async with (
        EmbeddedRedis(folder / "redis") as redis,
        working(folder / "workers", redis.url, _WORKERS, **settings) as workers,
    ):
        workers.model.reply = _noting
        async with _bystanders(workers, ledger):
            for policy in POLICIES:
                goal = turns(policy)
                while ledger.wants(goal):
                    with ledger.timing(goal):
                        await crowd(redis.url, workers, policy, goal, ledger, profile="busy")
                    ledger.save()
            while ledger.wants(CANCELLED):  # noqa: ASYNC110 - the bystanders get there
                await asyncio.sleep(0.1)
        await _see_that_it_went_on(workers, ledger)


def _noting(request: Request) -> str:
    """An echo that notes what was said, when it is asked for notes."""
    if "response_format" not in request.body:
        return echo(request)
    found = {"line": 1, "kind": "fact", "content": f"Noted {random.randbytes(4).hex()}."}
    rest: dict[str, Any] = {"entities": [], "importance": 0.5, "same_as": None, "replaces": []}
    return json.dumps({"memories": [found | rest]})


@asynccontextmanager
async def _bystanders(workers: Workers, ledger: Ledger) -> AsyncGenerator[None]:
    stop = asyncio.Event()
    lives: list[Callable[[], Coroutine[Any, Any, None]]] = [
        lambda: _hang_up(workers, ledger),
        *([lambda: _live_again_and_again(workers, stop, ledger)] * _REBORN),
        *([lambda: _fall_silent(workers, stop, ledger)] * _SILENT),
    ]
    tasks = [asyncio.create_task(live()) for live in lives]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def _hang_up(workers: Workers, ledger: Ledger) -> None:
    names = [random.randbytes(6).hex() for _ in range(_CANARIES)]
    canaries = [Canary(f"u-{name}", f"mark{name}") for name in names]
    for one in canaries:
        await plant(workers.urls[0], one)
    await asyncio.gather(
        *(hang_up_often(workers, canaries, _ALWAYS, ledger) for _ in range(_CANCELLERS))
    )


async def _live_again_and_again(workers: Workers, stop: asyncio.Event, ledger: Ledger) -> None:
    """Store turns, erase the user, and look on every worker for the erased data."""
    user, before = f"reborn-{random.randbytes(4).hex()}", ""
    lines = [Line(url) for url in workers.urls]
    while not stop.is_set():
        mark = f"life{random.randbytes(6).hex()}"
        said = {"user_id": user, "message": f"I am {mark} by the lamp.", "profile": "busy"}
        for line in random.choices(lines, k=5):
            await _ask(line, "POST", "/v1/chat", said)
        for line in lines if before else ():
            for path, body in _looks(user):
                answer = await _ask(line, "POST" if body else "GET", path, body)
                silent = answer is None or before.encode() not in answer.body
                ledger.check("nothing is left of an erased life", silent, f"{user} {path}")
        while not await _ask(random.choice(lines), "DELETE", f"/v1/users/{user}"):
            ledger.add("erasures tried again")
        ledger.add("users erased on the way")
        before = mark
    for line in lines:
        line.hang_up()


def _looks(user: str) -> list[tuple[str, object]]:
    home = f"/v1/users/{user}"
    return [
        (f"{home}/export", None),
        (f"{home}/memories/search", {"query": "lamp"}),
        (f"{home}/context", {"message": "Who is by the lamp?", "profile": "busy"}),
    ]


async def _fall_silent(workers: Workers, stop: asyncio.Event, ledger: Ledger) -> None:
    """Be a stranger who says something, and is forgotten when their time is over."""
    while not stop.is_set():
        user = f"silent-{random.randbytes(6).hex()}"
        body = {"user_id": user, "message": "Only passing by.", "profile": "busy"}
        async with Line(random.choice(workers.urls)) as line:
            if not await _ask(line, "POST", "/v1/chat", body):
                continue
            await asyncio.sleep(_EXPIRY)
            answer = await _ask(line, "GET", f"/v1/users/{user}/export")
            gone = answer is None or b"passing" not in answer.body
            ledger.check("what is past its time is not read", gone, user)
        ledger.add("sessions expired on the way")


async def _ask(line: Line, method: str, path: str, body: object = None) -> Answer | None:
    """An answer that is none of a machine out of breath."""
    try:
        answer = await line.ask(method, path, body)
    except LostError:
        return None
    return answer if answer.status in {200, 201} else None


async def _see_that_it_went_on(workers: Workers, ledger: Ledger) -> None:
    """Folds and notes were made: the part would prove little without them."""
    for job, what in (
        ("fold", "summaries during the load"),
        ("extract", "extractions during the load"),
    ):
        done = sum([await _runs(url, job) for url in workers.urls])
        ledger.check("background tasks run during the load", done > 0, job)
        ledger.counts[what] = round(done)


async def _runs(url: str, job: str) -> float:
    async with Line(url) as line:
        figures = (await line.ask("GET", "/metrics")).body.decode()
    found = re.search(rf'onionskin_job_runs_total{{job="{job}",outcome="done"}} (\S+)', figures)
    return float(found[1]) if found else 0.0
