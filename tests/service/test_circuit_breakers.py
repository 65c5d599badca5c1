"""A model or an embedder that fails again and again: turns fail, or go on without it, at once."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.openai_server import Fault, OpenAIServer
from tests.polling import until
from tests.service.events import read_events
from tests.services import running_service


@pytest.fixture
def settings(model: OpenAIServer) -> dict[str, str]:
    return {
        "ONIONSKIN_MODEL_BASE_URL": model.base_url,
        "ONIONSKIN_MODEL": "test-model",
        "ONIONSKIN_MODEL_RETRIES": "0",
        "ONIONSKIN_BREAKER_FAILURES": "3",
    }


def _say(client: httpx.Client, message: str = "Hello.", **more: Any) -> httpx.Response:
    return client.post("/v1/chat", json={"user_id": "alice", "message": message, **more})


def test_a_model_that_fails_again_and_again_is_left_alone_and_tried_now_and_then(
    settings: dict[str, str], model: OpenAIServer, tmp_path: Path
) -> None:
    with running_service(tmp_path, **settings) as service, service.client() as client:
        model.fault = Fault(status=500)
        assert [_say(client).status_code for _ in range(3)] == [502] * 3
        asked = len(model.requests)
        refused = _say(client)
        assert refused.status_code == 503
        assert refused.json()["code"] == "model_unavailable"
        assert 1 <= int(refused.headers["retry-after"]) <= 5
        body = {"user_id": "alice", "message": "Hello.", "stream": True}
        with client.stream("POST", "/v1/chat", json=body) as response:
            *_, (name, error) = read_events(response.iter_lines())
        assert (name, error["status"], error["code"]) == ("error", 503, "model_unavailable")
        openai = {
            "model": "layered",
            "user": "alice",
            "messages": [{"role": "user", "content": "Hello."}],
        }
        answer = client.post("/v1/chat/completions", json=openai)
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert len(model.requests) == asked
        figures = client.get("/metrics").text
        assert "onionskin_model_circuit 1.0" in figures
        assert (
            'onionskin_model_calls_total{outcome="model_unavailable",purpose="answer"}' in figures
        )
        model.fault = None
        until(lambda: _say(client).is_success)
        assert "onionskin_model_circuit 0.0" in client.get("/metrics").text


def test_what_the_model_refuses_opens_nothing(
    settings: dict[str, str], model: OpenAIServer, tmp_path: Path
) -> None:
    with running_service(tmp_path, **settings) as service, service.client() as client:
        model.fault = Fault(status=400)
        assert [_say(client).status_code for _ in range(6)] == [400] * 6
        (session,) = client.get("/v1/users/alice/sessions").json()["sessions"]
        assert session["messages"] == 1


def test_a_model_that_says_when_to_come_back_is_left_alone_until_then(
    settings: dict[str, str], model: OpenAIServer, tmp_path: Path
) -> None:
    with running_service(tmp_path, **settings) as service, service.client() as client:
        model.faults.append(Fault(status=429, retry_after=timedelta(seconds=40)))
        first, asked = _say(client), len(model.requests)
        assert (first.status_code, first.headers["retry-after"]) == (503, "40")
        again = _say(client)
        assert again.status_code == 503
        assert 1 <= int(again.headers["retry-after"]) <= 40
        assert len(model.requests) == asked


def test_retries_of_the_client_lie_within_the_time_limit(
    settings: dict[str, str], model: OpenAIServer, tmp_path: Path
) -> None:
    slow = {**settings, "ONIONSKIN_MODEL_RETRIES": "50", "ONIONSKIN_MODEL_TIMEOUT": "2"}
    with running_service(tmp_path, **slow) as service, service.client(15) as client:
        model.fault = Fault(status=500)
        assert _say(client).status_code == 504  # with all its pauses, 50 tries take minutes
        body = {"user_id": "alice", "message": "Hello.", "stream": True}
        with client.stream("POST", "/v1/chat", json=body) as response:
            *_, (_, error) = read_events(response.iter_lines())
        assert error["code"] == "model_timeout"


def test_an_embedder_that_is_down_is_left_alone_and_turns_go_on_with_words(
    settings: dict[str, str], model: OpenAIServer, tmp_path: Path
) -> None:
    remote = {
        **settings,
        "ONIONSKIN_EMBEDDER": "openai",
        "ONIONSKIN_EMBEDDER_BASE_URL": model.base_url,
        "ONIONSKIN_EMBEDDER_TIMEOUT": "2",
    }
    with running_service(tmp_path, **remote) as service, service.client() as client:
        model.fault = Fault(hang=True, purpose="embeddings")
        until(lambda: _say(client, profile="vector") and _opened(client))
        asked = sum(one.path.endswith("embeddings") for one in model.requests)
        answer = _say(client, "My bicycle is green.", profile="vector").json()
        assert answer["degraded"] == ["embedder"]
        assert sum(one.path.endswith("embeddings") for one in model.requests) <= asked + 1
        model.fault = None
        until(lambda: _say(client, profile="vector").json()["degraded"] == [])


def _opened(client: httpx.Client) -> bool:
    return "onionskin_embedder_circuit 1.0" in client.get("/metrics").text
