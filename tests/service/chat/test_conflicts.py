"""Two turns at once on one session, in one worker and in two."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

import httpx
import pytest

from onionskin.memory.store.redis.embedded import EmbeddedRedis
from tests.openai_faults import Fault
from tests.openai_server import OpenAIServer
from tests.polling import until
from tests.service.conftest import Backend
from tests.services import running_service


@dataclass(frozen=True, slots=True)
class SlowTurn:
    """A turn whose model answers when the test lets it."""

    future: Future[httpx.Response]
    gate: threading.Event

    def done(self) -> bool:
        return self.future.done()

    def result(self) -> httpx.Response:
        self.gate.set()
        return self.future.result(60)


@pytest.fixture
def workers(
    model: OpenAIServer, private_redis: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Backend, Backend]]:
    """Two workers on one Redis, with a model that is slow on demand."""
    settings = {
        "ONIONSKIN_MODEL_BASE_URL": model.base_url,
        "ONIONSKIN_MODEL": "test-model",
        "ONIONSKIN_MODEL_RETRIES": "0",
        "ONIONSKIN_MODEL_TIMEOUT": "20",
        "ONIONSKIN_REDIS_URL": private_redis.url,
    }
    folder = tmp_path_factory.mktemp("workers")
    with (
        running_service(folder, **settings) as one,
        running_service(folder, **settings) as other,
        one.client() as first,
        other.client() as second,
    ):
        yield Backend(one, first, model), Backend(other, second, model)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


def _begun(backend: Backend) -> str:
    return backend.say("u", "Hello.").raise_for_status().json()["session_id"]


def _slowly(
    pool: ThreadPoolExecutor, backend: Backend, session_id: str, **more: object
) -> SlowTurn:
    """A turn whose model call is under way."""
    asked, gate = len(backend.model.requests), threading.Event()
    backend.model.faults.append(Fault(until=gate, purpose="completions"))
    future = pool.submit(backend.say, "u", "The slow one.", session_id=session_id, **more)
    until(lambda: len(backend.model.requests) > asked)
    return SlowTurn(future, gate)


@pytest.mark.parametrize("same_worker", [True, False])
def test_a_queued_turn_sees_the_one_before_it(
    workers: tuple[Backend, Backend], pool: ThreadPoolExecutor, same_worker: bool
) -> None:
    one, other = workers
    session_id = _begun(one)
    slow = _slowly(pool, one, session_id)
    waiting = one if same_worker else other
    second = pool.submit(waiting.say, "u", "The quick one.", session_id=session_id)
    assert slow.result().json()["turn_id"] == f"{session_id}.2"
    assert second.result(60).json()["turn_id"] == f"{session_id}.4"
    assert "The slow one." in json.dumps(one.model.requests[-1].body)


def test_a_turn_that_will_not_wait_is_refused(
    workers: tuple[Backend, Backend], pool: ThreadPoolExecutor
) -> None:
    one, other = workers
    session_id = _begun(one)
    slow = _slowly(pool, one, session_id)
    refused = other.say("u", "Now!", session_id=session_id, on_conflict="reject")
    assert (refused.status_code, refused.json()["code"]) == (409, "session_busy")
    assert not slow.done()
    assert slow.result().is_success
    assert "Now!" not in one.transcript("u")
    assert other.say("u", "And now?", session_id=session_id, on_conflict="reject").is_success


def test_parallel_turns_are_both_stored_whole(
    workers: tuple[Backend, Backend], pool: ThreadPoolExecutor
) -> None:
    one, other = workers
    session_id = _begun(one)
    slow = _slowly(pool, one, session_id, on_conflict="parallel")
    quick = other.say("u", "The quick one.", session_id=session_id, on_conflict="parallel")
    assert not slow.done()
    assert quick.json()["turn_id"] == f"{session_id}.2"
    assert slow.result().json()["turn_id"] == f"{session_id}.4"


def test_an_interrupted_turn_stops_and_leaves_its_message(
    workers: tuple[Backend, Backend], pool: ThreadPoolExecutor
) -> None:
    one, other = workers
    session_id = _begun(one)
    slow = _slowly(pool, one, session_id)
    newer = other.say("u", "No, stop.", session_id=session_id, on_conflict="interrupt")
    assert newer.json()["turn_id"] == f"{session_id}.3"
    assert not slow.gate.is_set()  # the newer turn did not wait for it
    assert (slow.result().status_code, slow.result().json()["code"]) == (409, "turn_interrupted")
    assert one.transcript("u")[2:4] == ["The slow one.", "No, stop."]


def test_what_an_interrupted_stream_had_said_is_kept_and_marked(
    workers: tuple[Backend, Backend], pool: ThreadPoolExecutor
) -> None:
    one, other = workers
    session_id = _begun(one)
    one.model.reply = lambda _: "one two three four five six seven eight nine ten"
    one.model.faults.append(Fault(token_delay=timedelta(seconds=0.3), purpose="completions"))
    started, events = threading.Event(), list[str]()

    def listen() -> None:
        body = {"user_id": "u", "message": "Count.", "session_id": session_id, "stream": True}
        with one.service.client() as client, client.stream("POST", "/v1/chat", json=body) as answer:
            for line in answer.iter_lines():
                events.append(line)
                if line.startswith("event: token"):
                    started.set()

    listening = pool.submit(listen)
    assert started.wait(10)
    other.say("u", "Enough.", session_id=session_id, on_conflict="interrupt").raise_for_status()
    listening.result()
    done = json.loads(events[events.index("event: done") + 1].removeprefix("data: "))
    assert done["interrupted"] is True
    assert done["reply"].startswith("one")
    assert "ten" not in done["reply"]
    url = f"/v1/users/u/sessions/{session_id}/messages"
    stored = one.client.get(url).json()["messages"]
    assert (stored[3]["content"], stored[3]["interrupted"]) == (done["reply"], True)
    assert [one["interrupted"] for one in stored] == [False, False, False, True, False, False]


def test_a_turn_that_fails_leaves_the_session_free(backend: Backend) -> None:
    session_id = _begun(backend)
    backend.model.faults.append(Fault(status=500, purpose="completions"))
    assert backend.say("u", "Fails.", session_id=session_id).status_code == 502
    free = backend.say("u", "Works.", session_id=session_id, on_conflict="reject")
    assert free.is_success


def test_a_session_whose_worker_was_killed_is_free_again(
    workers: tuple[Backend, Backend], pool: ThreadPoolExecutor
) -> None:
    one, other = workers
    session_id = _begun(one)
    slow = _slowly(pool, one, session_id)
    one.service.kill()
    assert isinstance(slow.future.exception(), httpx.TransportError)
    answer = other.say("u", "Anyone?", session_id=session_id)
    assert answer.json()["turn_id"] == f"{session_id}.2"
