"""Answers get lost on the way, and OpenAI's SDK asks again by itself: one turn is stored."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from tests.openai_faults import Fault
from tests.openai_server import OpenAIServer
from tests.polling import until
from tests.retry_campaign import KINDS, campaign
from tests.service.conftest import Backend, running_backend
from tests.service.openai.sdk_calls import answers_asked, from_user, transcripts


def test_each_turn_is_stored_once_however_its_answer_is_lost(workers: list[Backend]) -> None:
    outcomes = campaign(workers, rounds=60)
    assert [one for one in outcomes if not one.is_fine] == []
    assert {(one.loss, one.streamed) for one in outcomes} == {
        (kind, streamed) for kind in KINDS for streamed in (False, True)
    }


def test_another_worker_gives_the_answer_of_a_try_again(workers: list[Backend]) -> None:
    asked = len(workers[0].model.requests)
    for number in range(5):
        tries = [_post(workers[n], "wanderer", f"{number}.", retry=n) for n in (0, 1)]
        first, again = (one.json()["choices"][0]["message"] for one in tries)
        assert first == again
    assert [len(one) for one in transcripts(workers[0], "wanderer")] == [2] * 5
    assert answers_asked(workers[0], asked) == 5


def test_tries_at_once_on_two_workers_are_one_turn(workers: list[Backend]) -> None:
    asked = len(workers[0].model.requests)
    gate = threading.Event()
    workers[0].model.fault = Fault(until=gate, purpose="completions")
    with ThreadPoolExecutor(6) as pool:
        tries = [pool.submit(_post, workers[n % 2], "racer", retry=n) for n in range(6)]
        until(lambda: answers_asked(workers[0], asked) == 1)
        time.sleep(0.3)  # the others have arrived by now, or come later: either way one answers
        gate.set()
        answers = [one.result().json() for one in tries]
    assert len({one["metadata"]["turn_id"] for one in answers}) == 1
    assert len({one["choices"][0]["message"]["content"] for one in answers}) == 1
    assert len(transcripts(workers[0], "racer")) == 1
    assert answers_asked(workers[0], asked) == 1


def test_the_same_request_at_once_is_one_turn_even_without_a_count(backend: Backend) -> None:
    asked = len(backend.model.requests)
    answers = [_post(backend, "twice"), _post(backend, "twice")]
    assert [one.status_code for one in answers] == [200, 200]
    assert sorted(map(len, transcripts(backend, "twice"))) == [2, 2]  # the first was delivered
    backend.model.fault = Fault(until=(gate := threading.Event()), purpose="completions")
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(_post, backend, "at-once") for _ in range(2)]
        until(lambda: answers_asked(backend, asked) == 3)
        time.sleep(2)  # the second request arrives
        gate.set()
        turns = {one.result().json()["metadata"]["turn_id"] for one in both}
    assert len(turns) == 1
    assert answers_asked(backend, asked) == 3


def test_a_client_that_gave_up_gets_the_answer_when_it_asks_again(backend: Backend) -> None:
    asked = len(backend.model.requests)
    gate = threading.Event()
    backend.model.faults.append(Fault(until=gate, purpose="completions"))
    with pytest.raises(httpx.ReadTimeout):
        _post(backend, "impatient", timeout=0.2)
    gate.set()
    assert _post(backend, "impatient").is_success
    assert transcripts(backend, "impatient") == [["Yes.", transcripts(backend, "impatient")[0][1]]]
    assert answers_asked(backend, asked) == 1


@pytest.fixture
def impatient(model: OpenAIServer, tmp_path: Path) -> Iterator[Backend]:
    with running_backend(model, tmp_path, ONIONSKIN_MODEL_TIMEOUT="5") as found:
        yield found


def test_a_try_that_takes_too_long_is_overtaken_and_not_stored(impatient: Backend) -> None:
    answers = iter(["one two three four five six seven eight nine ten", "another answer"])
    impatient.model.reply = lambda _: next(answers)
    impatient.model.faults.append(Fault(token_delay=timedelta(seconds=1), purpose="completions"))
    asked = len(impatient.model.requests)
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(_post, impatient, "slow", stream=True)
        until(lambda: len(impatient.model.requests) > asked)
        again = pool.submit(_post, impatient, "slow", stream=True, retry=1)
        assert "overtaken" in slow.result().text
        assert "overtaken" not in again.result().text
    assert transcripts(impatient, "slow") == [["Yes.", "another answer"]]


def test_who_got_the_answer_and_asks_the_same_again_wants_another(backend: Backend) -> None:
    asked = len(backend.model.requests)
    for _ in range(3):
        assert _post(backend, "again").is_success
    assert len(transcripts(backend, "again")) == 3
    assert answers_asked(backend, asked) == 3


def test_a_retry_of_a_call_of_a_tool_gets_the_stored_call(backend: Backend) -> None:
    call = (
        b'{"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [{"index"'
        b': 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": null, '
        b'"tool_calls": [{"id": "c1", "type": "function", "function": {"name": "clock", '
        b'"arguments": "{}"}}]}}]}'
    )
    backend.model.faults.append(Fault(body=call, purpose="completions"))
    for retry in (0, 1):
        answer = _post(backend, "caller", retry=retry).json()["choices"][0]
        assert answer["message"]["tool_calls"][0]["function"]["name"] == "clock"
        assert answer["finish_reason"] == "tool_calls"
    assert backend.transcript("caller") == ["Yes.", ""]


def test_a_retry_after_a_failure_asks_the_model_again(backend: Backend) -> None:
    backend.model.faults.append(Fault(status=500, purpose="completions"))
    assert _post(backend, "failing").status_code == 502
    assert _post(backend, "failing", retry=1).is_success
    assert len(backend.transcript("failing")) == 2


def _post(
    backend: Backend,
    user: str,
    text: str = "Yes.",
    *,
    retry: int = 0,
    timeout: float = 30,
    stream: bool = False,
) -> httpx.Response:
    body = {"model": "layered", "user": user, "messages": [from_user(text)], "stream": stream}
    headers = {"x-stainless-retry-count": str(retry)}
    url = f"{backend.service.url}/v1/chat/completions"
    return httpx.post(url, json=body, headers=headers, timeout=timeout)
