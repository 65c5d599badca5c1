"""Four workers, 64 clients, one user, one session: every turn once, whole, in its place.

Only 16 clients interrupt, and each pauses for up to a second: a newer turn goes before all that
wait, so more clients would keep each other waiting without an end.
"""

import asyncio
import itertools
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import get_args

from onionskin.memory.session_lock import OnConflict
from onionskin.memory.store import Connection, RedisStore
from onionskin.memory.store.redis.embedded import EmbeddedRedis
from onionskin.memory.types.messages import User
from tests.faults.deployment import answer_to, working
from tests.faults.http_connection import Line
from tests.faults.results_file import Ledger
from tests.faults.stored_state import stored_turns
from tests.faults.workers import Workers
from tests.openai_server import Fault

POLICIES: tuple[OnConflict, ...] = get_args(OnConflict)
_WORKERS, _CLIENTS, _INTERRUPTERS = 4, 16, 4
_PATIENCE, _THINKING, _SLOW_EVERY = 150.0, 1.0, 1.5  # seconds
_SESSION = 3_000  # turns of one session
_READ = 1 / 20
_SLOW = Fault(delay=timedelta(seconds=0.8), purpose="completions")


@dataclass(slots=True)
class Crowd:
    """The expected content of one session that many clients use.

    Attributes:
        acknowledged: Text of each acknowledged turn by turn id.
        interrupted: Texts of turns that a newer turn stopped.
        unsure: Texts answered with 503 by an overloaded machine; they may be stored.
    """

    user: str
    session_id: str
    policy: OnConflict
    profile: str = "window"
    acknowledged: dict[str, str] = field(default_factory=dict[str, str])
    interrupted: set[str] = field(default_factory=set[str])
    unsure: set[str] = field(default_factory=set[str])


def turns(policy: str) -> str:
    """The counter's name for turns of a policy with the offline model."""
    return f"turns, {policy}"


def echoed(policy: str) -> str:
    """The counter's name for turns with a model whose answers are all different."""
    return f"turns, {policy}, echoed"


async def run(ledger: Ledger, folder: Path) -> None:
    """Run every policy with both models."""
    offline = {"ONIONSKIN_MODEL": "offline", "ONIONSKIN_MODEL_BASE_URL": ""}
    async with EmbeddedRedis(folder / "redis") as redis:
        for name, settings in ((turns, offline), (echoed, {})):
            if any(ledger.wants(name(policy)) for policy in POLICIES):
                home = folder / name.__name__
                async with working(home, redis.url, _WORKERS, **settings) as workers:
                    for policy in POLICIES:
                        while ledger.wants(name(policy)):
                            with ledger.timing(name(policy)):
                                await crowd(redis.url, workers, policy, name(policy), ledger)
                            ledger.save()


async def crowd(
    redis_url: str,
    workers: Workers,
    policy: OnConflict,
    goal: str,
    ledger: Ledger,
    *,
    profile: str = "window",
) -> None:
    """Run up to 3,000 turns of one session by all clients at once; check what is stored."""
    body = {"user_id": f"crowd-{random.randbytes(4).hex()}", "message": "Hi.", "profile": profile}
    async with Line(workers.urls[0]) as line:
        begun = (await line.ask("POST", "/v1/chat", body)).json
    acknowledged = {begun["turn_id"]: "Hi."}
    crowd = Crowd(str(body["user_id"]), begun["session_id"], policy, profile, acknowledged)
    upto = ledger.counts[goal] + _SESSION
    async with _some_slow(workers, policy):
        await asyncio.gather(
            *(
                _client(number, url, workers.urls, crowd, goal, upto, ledger)
                for number in range(_INTERRUPTERS if policy == "interrupt" else _CLIENTS)
                for url in workers.urls
            )
        )
    connection = Connection(redis_url)
    try:
        await _check(RedisStore(connection, embedder_tag=""), crowd, goal, ledger)
    finally:
        await connection.aclose()


@asynccontextmanager
async def _some_slow(workers: Workers, policy: OnConflict) -> AsyncGenerator[None]:
    """Slow the model down now and then, so that there is a turn to interrupt."""

    async def slow_down() -> None:
        while True:
            await asyncio.sleep(_SLOW_EVERY)
            if not workers.model.faults:
                workers.model.faults.append(_SLOW)

    slowing = asyncio.create_task(slow_down())
    if policy != "interrupt":
        slowing.cancel()
    try:
        yield
    finally:
        slowing.cancel()
        with suppress(asyncio.CancelledError):
            await slowing
        workers.model.faults.clear()


async def _client(
    number: int,
    url: str,
    others: list[str],
    crowd: Crowd,
    goal: str,
    upto: int,
    ledger: Ledger,
) -> None:
    lines = {other: Line(other, timeout=_PATIENCE) for other in others}
    for turn in itertools.count():
        if not ledger.wants(goal) or ledger.counts[goal] >= upto:
            break
        if crowd.policy == "interrupt":
            await asyncio.sleep(random.uniform(0, _THINKING))
        text = f"{url[-5:]} client {number} turn {turn}"
        body = {"user_id": crowd.user, "session_id": crowd.session_id, "message": text}
        body |= {"profile": crowd.profile, "on_conflict": crowd.policy}
        answer = await lines[url].ask("POST", "/v1/chat", body)
        if answer.status == 200:
            turn_id = answer.json["turn_id"]
            ledger.check("no turn id is given twice", turn_id not in crowd.acknowledged, turn_id)
            crowd.acknowledged[turn_id] = text
            ledger.add(goal)
            if random.random() < _READ:
                await _read(lines[random.choice(others)], crowd, turn_id, ledger)
        elif answer.code == "turn_interrupted":
            crowd.interrupted.add(text)
            ledger.add("turns interrupted")
        elif answer.code == "store_unavailable":
            crowd.unsure.add(text)
            ledger.add("answered 503 for want of time")
        elif not ledger.check("errors are clear", answer.code == "session_busy", answer):
            break
        else:
            ledger.add("turns refused")
            await asyncio.sleep(random.uniform(0, 0.2))
    for line in lines.values():
        line.hang_up()


async def _read(line: Line, crowd: Crowd, turn_id: str, ledger: Ledger) -> None:
    found = await line.ask("GET", f"/v1/users/{crowd.user}/turns/{turn_id}")
    if found.code == "store_unavailable":
        return
    there = found.status == 200 and found.json["said"]["content"] == crowd.acknowledged[turn_id]
    ledger.check("another worker sees a turn at once", there, turn_id)


async def _check(store: RedisStore, crowd: Crowd, goal: str, ledger: Ledger) -> None:
    found = await stored_turns(store, User(crowd.user), ledger)
    said = [one.message.content for one, _ in found.values()]
    ledger.check("no turn is stored twice", len(said) == len(set(said)), goal)
    for turn_id, text in crowd.acknowledged.items():
        there = turn_id in found and found[turn_id][0].message.content == text
        ledger.check("acknowledged means stored", there, f"{goal}: {text!r} as {turn_id}")
    beyond = set(said) - set(crowd.acknowledged.values()) - crowd.interrupted - crowd.unsure
    ledger.check("nothing is stored that was not said", not beyond, f"{goal}: {sorted(beyond)[:3]}")
    lost = crowd.interrupted - set(said)
    ledger.check("an interrupted turn leaves its message", not lost, f"{goal}: {sorted(lost)[:3]}")
    for one, replied in found.values():
        text = one.message.content
        fits = replied is None or "echoed" not in goal or replied.message.content == answer_to(text)
        ledger.check("a reply belongs to its message", fits, text)
