"""A stalled request times out, and its message is kept."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from tests.openai_faults import Fault
from tests.openai_server import OpenAIServer
from tests.polling import until
from tests.service.conftest import Backend
from tests.service.events import read_events
from tests.service.metrics import calls, figure
from tests.services import running_service


@pytest.fixture
def impatient(model: OpenAIServer, tmp_path: Path) -> Iterator[Backend]:
    """A service that waits for its model longer than for its requests."""
    settings = {
        "ONIONSKIN_MODEL_BASE_URL": model.base_url,
        "ONIONSKIN_MODEL": "test-model",
        "ONIONSKIN_MODEL_RETRIES": "0",
        "ONIONSKIN_REQUEST_TIMEOUT": "2",
    }
    with running_service(tmp_path, **settings) as service, service.client() as client:
        yield Backend(service, client, model)


def test_a_request_that_takes_too_long_is_a_504(impatient: Backend) -> None:
    impatient.model.faults.append(Fault(hang=True))
    answer = impatient.say("t1", "Hello.")
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (504, "request_timeout")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"]
    assert "2 seconds" in problem["detail"]
    assert impatient.transcript("t1") == ["Hello."]
    assert calls(impatient.client, "answer", "cancelled") == 1
    assert figure(
        impatient.client, 'onionskin_turns_total{outcome="cancelled",profile="layered"}'
    ), "the turn is over"
    impatient.say("t1", "Hello.").raise_for_status()
    assert len(impatient.transcript("t1")) == 2


def test_openais_clients_get_it_in_their_shape(impatient: Backend) -> None:
    impatient.model.faults.append(Fault(hang=True))
    messages = [{"role": "user", "content": "Hello."}]
    body = {"model": "layered", "user": "t2", "messages": messages}
    answer = impatient.client.post("/v1/chat/completions", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "request_timeout")


def test_a_stream_that_moves_goes_on_and_a_silent_one_is_cut_off(impatient: Backend) -> None:
    body = {"user_id": "t3", "message": "one two three four five", "stream": True}
    impatient.model.faults.append(Fault(token_delay=timedelta(seconds=0.5)))  # 3 s in all
    with impatient.client.stream("POST", "/v1/chat", json=body) as answer:
        assert [name for name, _ in read_events(answer.iter_lines())][-1] == "done"
    stored = impatient.transcript("t3")
    impatient.model.faults.append(Fault(token_delay=timedelta(seconds=20)))
    names: list[str] = []
    with (
        pytest.raises(httpx.RemoteProtocolError),
        impatient.client.stream("POST", "/v1/chat", json=body) as answer,
    ):
        names += [name for name, _ in read_events(answer.iter_lines())]
    assert "done" not in names
    until(lambda: len(impatient.transcript("t3")) == len(stored) + 2)
    assert impatient.transcript("t3")[:-1] == [*stored, "one two three four five"]
    impatient.say("t3", "Go on.").raise_for_status()


def test_an_import_that_is_sent_slowly_goes_on(impatient: Backend) -> None:
    def lines() -> Iterator[bytes]:
        for number in range(5):
            yield b'{"role": "user", "content": "Line %d."}\n' % number
            time.sleep(0.6)

    impatient.client.post("/v1/users/t4/import", content=lines()).raise_for_status()
    assert len(impatient.transcript("t4")) == 5
