"""Calls of the model are counted by what they were for, and by how they ended."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.openai_faults import Fault
from tests.service.conftest import Backend
from tests.service.metrics import calls, tokens
from tests.services import running_service

_TITLE = {
    "model": "layered",
    "user": "p",
    "messages": [{"role": "user", "content": "A title, please."}],
    "metadata": {"task": "title_generation"},
}


@pytest.fixture(scope="module")
def settings_of_backend() -> dict[str, str]:
    return {"ONIONSKIN_MODEL_TIMEOUT": "5"}


def _wait_for(client: httpx.Client, purpose: str, outcome: str, *, more_than: float) -> None:
    deadline = time.monotonic() + 20
    while calls(client, purpose, outcome) <= more_than:
        assert time.monotonic() < deadline, (purpose, outcome)
        time.sleep(0.05)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_one_call_with_its_tokens(backend: Backend, stream: bool) -> None:
    before, spent = calls(backend.client, "answer"), tokens(backend.client, "answer")
    backend.say("p1", "Hello you.", stream=stream).raise_for_status()
    assert calls(backend.client, "answer") == before + 1
    assert tokens(backend.client, "answer") > spent


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_fails_is_counted_by_its_error(backend: Backend, stream: bool) -> None:
    failed = calls(backend.client, "answer", "model_failed")
    late = calls(backend.client, "answer", "model_timeout")
    backend.model.faults.append(Fault(status=500))
    backend.say("p2", "Hello.", stream=stream)
    assert calls(backend.client, "answer", "model_failed") == failed + 1
    backend.model.faults.append(Fault(hang=True))
    backend.say("p2", "Hello.", stream=stream)
    assert calls(backend.client, "answer", "model_timeout") == late + 1


def test_calls_of_tools_are_counted_too(backend: Backend) -> None:
    before = calls(backend.client, "answer")
    tool: dict[str, Any] = {"name": "look", "parameters": {"type": "object", "properties": {}}}
    body = {
        "model": "layered",
        "user": "p3",
        "messages": [{"role": "user", "content": "Look."}],
        "tools": [{"type": "function", "function": tool}],
    }
    backend.client.post("/v1/chat/completions", json=body).raise_for_status()
    assert calls(backend.client, "answer") == before + 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_title_is_a_job_and_no_answer(backend: Backend, stream: bool) -> None:
    client = backend.client
    jobs, answers, failed = calls(client, "job"), calls(client, "answer"), 0.0
    client.post("/v1/chat/completions", json={**_TITLE, "stream": stream}).raise_for_status()
    assert (calls(client, "job"), calls(client, "answer")) == (jobs + 1, answers)
    failed = calls(client, "job", "model_failed")
    backend.model.faults.append(Fault(status=500))
    assert client.post("/v1/chat/completions", json=_TITLE).status_code == 502
    assert calls(client, "job", "model_failed") == failed + 1


def test_a_fold_in_the_background_is_counted_its_failures_too(backend: Backend) -> None:
    folds, failed = calls(backend.client, "fold"), calls(backend.client, "fold", "model_failed")

    def reply(request: Any) -> str:
        folding = "running summary" in request.messages[0][1]
        return "" if folding and calls(backend.client, "fold", "model_failed") <= failed else "Yes."

    backend.model.reply = reply
    for number in range(40):
        backend.say("p4", f"Event number {number} of my life.").raise_for_status()
    _wait_for(backend.client, "fold", "model_failed", more_than=failed)
    _wait_for(backend.client, "fold", "answered", more_than=folds)
    assert tokens(backend.client, "fold") > 0


@pytest.fixture
def classic(backend: Backend, tmp_path: Path) -> Iterator[httpx.Client]:
    """A service with a profile that is one of LangChain's memories."""
    profiles = tmp_path / "profiles.toml"
    profiles.write_text(
        '[profiles.classic]\nlayers = ["classic"]\n'
        '[profiles.classic.classic]\nmemory = "ConversationSummaryMemory"\n'
    )
    settings = {
        "ONIONSKIN_MODEL_BASE_URL": backend.model.base_url,
        "ONIONSKIN_MODEL": "test-model",
        "ONIONSKIN_MODEL_RETRIES": "0",
        "ONIONSKIN_PROFILES": str(profiles),
        "ONIONSKIN_PROFILE": "classic",
    }
    with running_service(tmp_path / "data", **settings) as service, service.client() as client:
        yield client


def test_what_a_memory_of_langchain_asks_the_model_is_counted(
    backend: Backend, classic: httpx.Client
) -> None:
    for message in ("My dog is Biscuit.", "And my cat is Tom."):
        body = {"user_id": "p5", "message": message}
        classic.post("/v1/chat", json=body).raise_for_status()
    assert (calls(classic, "memory"), calls(classic, "answer")) == (1, 2)
    backend.model.faults.append(Fault(status=500))
    classic.post("/v1/chat", json={"user_id": "p5", "message": "Well?"})
    assert calls(classic, "memory", "failed") == 1
