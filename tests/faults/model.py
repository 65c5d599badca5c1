"""A chat model and an embedder that fail in every way: bounded retries, clear errors, no damage."""

import asyncio
import json
import math
import time
from pathlib import Path

from onionskin.memory.store import Connection, RedisStore
from onionskin.memory.store.redis.embedded import EmbeddedRedis
from onionskin.memory.types.messages import User
from tests.faults.deployment import answer_to, echo
from tests.faults.http_connection import Answer, Line
from tests.faults.model_faults import EMBEDDING, FAULTS, ModelFault
from tests.faults.results_file import Ledger
from tests.faults.stored_state import stored_turns
from tests.faults.workers import Workers
from tests.openai_server import OpenAIServer

VECTORS = "vectors filled in later"
_RETRIES, _WITHIN, _BACK_WITHIN, _FILLED_WITHIN = 2, 3.0, 15.0, 150.0
_SETTINGS = {
    "ONIONSKIN_MODEL": "echo",
    "ONIONSKIN_MODEL_RETRIES": str(_RETRIES),
    "ONIONSKIN_MODEL_TIMEOUT": str(_WITHIN),
    "ONIONSKIN_EMBEDDER": "openai",
    "ONIONSKIN_EMBEDDER_TIMEOUT": "0.5",
}


async def run(ledger: Ledger, folder: Path) -> None:
    """Every fault in turn, whole and streamed, until the goals are reached."""
    folder = folder / "workers"
    folder.mkdir()
    async with EmbeddedRedis(folder.parent / "redis") as redis, OpenAIServer() as model:
        model.reply = echo
        settings = _SETTINGS | {
            "ONIONSKIN_REDIS_URL": redis.url,
            "ONIONSKIN_MODEL_BASE_URL": model.base_url,
            "ONIONSKIN_EMBEDDER_BASE_URL": model.base_url,
        }
        workers, connection = Workers(folder, settings, model), Connection(redis.url)
        try:
            await workers.start(1)
            store = RedisStore(connection, embedder_tag="openai:text-embedding-3-small")
            number = 0
            while any(ledger.wants(fault.name) for fault in (*FAULTS, *EMBEDDING)):
                number += 1
                user = User(f"user-{number}")
                for fault in (*FAULTS, *EMBEDDING):
                    if ledger.wants(fault.name):
                        suffer = _embedder if fault in EMBEDDING else _model
                        await suffer(fault, workers, user, ledger)
                        ledger.add(fault.name)
                await _filled_in(workers, user, ledger)
                for turn, (said, replied) in (await stored_turns(store, user, ledger)).items():
                    whole = replied is None or (
                        replied.message.interrupted
                        or replied.message.content == answer_to(said.message.content)
                    )
                    ledger.check("only whole answers are stored", whole, turn)
                model.requests.clear()
                ledger.save()
        finally:
            await workers.close()
            await connection.aclose()


async def _say(workers: Workers, user: User, text: str, *, stream: bool = False) -> Answer:
    body = {"user_id": user.id, "message": text, "profile": "vector", "stream": stream}
    async with Line(workers.urls[0]) as line:
        return await line.ask("POST", "/v1/chat", body)


async def _model(fault: ModelFault, workers: Workers, user: User, ledger: Ledger) -> None:
    """A turn fails clearly and in time; the next one succeeds."""
    for stream in (False, True):
        asked, began = len(_completions(workers.model)), time.monotonic()
        workers.model.fault = fault.fault
        answer = await _say(workers, user, f"{fault.name} {stream}", stream=stream)
        workers.model.fault = None
        took = time.monotonic() - began
        tries = len(_completions(workers.model)) - asked
        code = _code(answer)
        ledger.counts["model calls that failed"] += tries
        ledger.check("the model was asked", tries or code == "model_unavailable", fault.name)
        ledger.check("a clear error", code in fault.codes(stream), f"{fault.name}: {code!r}")
        ledger.check("no more tries than allowed", tries <= 1 + _RETRIES, f"{fault.name}: {tries}")
        ledger.time(f"an error, {fault.name}", took)
        ledger.check("in time", took < fault.within, f"{fault.name}: {took:.1f} s")
        await _back(fault, workers, user, ledger)


async def _back(fault: ModelFault, workers: Workers, user: User, ledger: Ledger) -> None:
    """Turns succeed again by themselves; until then the model may be left alone for a while."""
    began = time.monotonic()
    while (answer := await _say(workers, user, f"after {fault.name}")).status != 200:
        took = time.monotonic() - began
        waiting = answer.code == "model_unavailable" and took < _BACK_WITHIN
        if not ledger.check("the open circuit breaker names a retry time", waiting, answer):
            return
        await asyncio.sleep(0.2)
    ledger.time("turns succeed again after", time.monotonic() - began)


async def _embedder(fault: ModelFault, workers: Workers, user: User, ledger: Ledger) -> None:
    """A turn succeeds with lexical recall."""
    lamp = f"The violet lamp {fault.name} stands by the river."
    await _say(workers, user, lamp)
    workers.model.fault = fault.fault
    try:
        answer = await _say(workers, user, "Where is my violet lamp?")
    finally:
        workers.model.fault = None
    fine = ledger.check("a turn succeeds without the embedder", answer.status == 200, answer)
    if fine:
        ledger.check("it says so", answer.json["degraded"] == ["embedder"], answer.json["degraded"])
        ledger.check("words still find", "violet lamp" in json.dumps(answer.json["memory"]), answer)


async def _filled_in(workers: Workers, user: User, ledger: Ledger) -> None:
    """Vectors that are missing come by themselves, once the embedder is back."""
    deadline, pending = time.monotonic() + _FILLED_WITHIN, math.inf
    while pending and time.monotonic() < deadline:
        pending = (await _say(workers, user, "And the lamp?")).json["vectors_pending"]
        await asyncio.sleep(1)
    if ledger.check("vectors are filled in later", not pending, f"{user.id}: {pending}"):
        ledger.add(VECTORS)


def _completions(model: OpenAIServer) -> list[object]:
    return [one for one in model.requests if one.path.endswith("completions")]


def _code(answer: Answer) -> str:
    """The code of an error, also inside a stream; empty if there is none."""
    if "event-stream" not in answer.headers.get("content-type", ""):
        return answer.code
    error = answer.body.decode().partition("event: error\ndata: ")[2].partition("\n")[0]
    return str(json.loads(error)["code"]) if error else ""
