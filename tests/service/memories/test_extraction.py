"""The facts layer fed by a model, in a running service: after the answer, never before it."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.openai_server import OpenAIServer, Request
from tests.services import running_service

_PROFILES = """
[profiles.learning]
layers = ["window", "summary", "facts", "vector"]
extraction = { enabled = true, messages = 4, quiet_seconds = 1 }
"""


@pytest.fixture
def settings(tmp_path: Path, model: OpenAIServer) -> dict[str, str]:
    profiles = tmp_path / "profiles.toml"
    profiles.write_text(_PROFILES)
    return {
        "ONIONSKIN_MODEL_BASE_URL": model.base_url,
        "ONIONSKIN_MODEL": "test-model",
        "ONIONSKIN_PROFILES": str(profiles),
        "ONIONSKIN_PROFILE": "learning",
    }


def _is_extraction(request: Request) -> bool:
    return "response_format" in request.body


@pytest.fixture
def noting(model: OpenAIServer) -> Iterator[Callable[[str], None]]:
    """Makes the model note one content whenever it is asked for notes."""

    def note(content: str) -> None:
        found: dict[str, Any] = {"line": 1, "kind": "fact", "content": content, "entities": []}
        answer: dict[str, Any] = {
            "memories": [{**found, "importance": 0.8, "same_as": None, "replaces": []}]
        }

        def reply(request: Request) -> str:
            return json.dumps(answer) if _is_extraction(request) else "I see."

        model.requests.clear()
        model.reply = reply

    yield note
    model.reply = lambda _: "I see."


def _say(client: httpx.Client, message: str) -> dict[str, Any]:
    answer = client.post("/v1/chat", json={"user_id": "ann", "message": message})
    assert answer.is_success, answer.text
    return answer.json()


def _memories(client: httpx.Client) -> list[dict[str, Any]]:
    return client.get("/v1/users/ann/memories").json()["memories"]


def _eventually(check: Callable[[], object], within: float = 15.0) -> None:
    deadline = time.monotonic() + within
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_was_said_is_known_later_and_why(
    settings: dict[str, str],
    tmp_path: Path,
    model: OpenAIServer,
    noting: Callable[[str], None],
) -> None:
    noting("Lives in Porto.")
    with running_service(tmp_path, **settings) as service, service.client() as client:
        first = _say(client, "I live in Porto.")
        _eventually(lambda: _memories(client))  # in the quiet, though it was but one turn
        (known,) = _memories(client)
        assert known["source"] == first["turn_id"]
        why = client.get(f"/v1/users/ann/memories/{known['id']}/why").json()
        assert why["turns"][0]["said"]["content"] == "I live in Porto."
        _say(client, "Where do I live?")
        prompt = model.requests[-1].messages[-1][1]
        assert "<known_facts>" in prompt
        assert "Lives in Porto." in prompt
        stats = client.get("/v1/users/ann/stats").json()
        assert stats["extraction"]["drawn"] == 1
        figures = client.get("/metrics").text
        assert 'onionskin_extractions_total{outcome="drawn"} 1.0' in figures
        assert 'purpose="extract"' in figures


def test_a_killed_worker_leaves_what_is_due_to_the_next(
    settings: dict[str, str], tmp_path: Path, noting: Callable[[str], None]
) -> None:
    noting("Lives in Porto.")
    slow = Path(settings["ONIONSKIN_PROFILES"])
    slow.write_text(_PROFILES.replace("quiet_seconds = 1", "quiet_seconds = 600"))
    with running_service(tmp_path, **settings) as service, service.client() as client:
        _say(client, "I live in Porto.")
        service.kill()
    slow.write_text(_PROFILES)
    with running_service(tmp_path, **settings) as service, service.client() as client:
        _eventually(lambda: _memories(client))


def test_the_offline_model_says_that_it_draws_nothing(
    settings: dict[str, str], tmp_path: Path
) -> None:
    offline = {**settings, "ONIONSKIN_MODEL": "offline"}
    with running_service(tmp_path, **offline) as service, service.client() as client:
        for number in range(4):
            assert _say(client, f"This is remark {number}.")["degraded"] == ["extraction"]
        assert _memories(client) == []


def test_a_spent_budget_ends_extraction_and_if_so_configured_not_the_answers(
    settings: dict[str, str],
    tmp_path: Path,
    model: OpenAIServer,
    noting: Callable[[str], None],
) -> None:
    noting("Lives in Porto.")
    chosen = {**settings, "ONIONSKIN_BUDGET_USER_CALLS": "1", "ONIONSKIN_BUDGET_SPENT": "answer"}
    with running_service(tmp_path, **chosen) as service, service.client() as client:
        for number in range(4):
            _say(client, f"This is remark {number}.")
            _eventually(lambda: 'job="spend"' in client.get("/metrics").text)
        _eventually(lambda: 'job="extract",outcome="done"' in client.get("/metrics").text)
        assert not any(map(_is_extraction, model.requests))
