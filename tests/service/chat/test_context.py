"""What a model would be shown, for models of others."""

from typing import Any

import httpx
import pytest

from tests.service.conftest import Backend


def _ask(backend: Backend, user: str, message: str, **more: object) -> httpx.Response:
    url = f"/v1/users/{user}/context"
    return backend.client.post(url, json={"message": message, **more})


def _context(backend: Backend, user: str, message: str, **more: object) -> dict[str, Any]:
    return _ask(backend, user, message, **more).raise_for_status().json()


def _timeless(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("It is ")]


def test_a_context_is_what_a_turn_shows_its_model(backend: Backend) -> None:
    said = backend.say("ada", "My dog is called Biscuit.").json()
    tea = {"content": "Ada prefers tea.", "kind": "preference"}
    backend.client.post("/v1/users/ada/memories", json=tea).raise_for_status()
    found = _context(backend, "ada", "What is he called?")
    assert found["session_id"] == said["session_id"]
    turn = backend.say("ada", "What is he called?").json()
    shown = [one for one in backend.model.requests if "What is he called?" in str(one.messages)]
    assert [(one["role"], _timeless(one["content"])) for one in found["prompt"]] == [
        (role, _timeless(text)) for role, text in shown[0].messages
    ]
    layers = [layer["layer"] for layer in found["memory"]]
    assert layers == [layer["layer"] for layer in turn["memory"]]
    assert "Biscuit" in found["text"]
    assert "<preferences>" in found["text"]
    assert "What is he called?" not in found["text"]
    assert 0 < found["tokens"] < 1000


def test_it_asks_no_model_and_stores_nothing(backend: Backend) -> None:
    asked = len(backend.model.requests)
    found = _context(backend, "nobody-yet", "Is anybody here?", profile="window")
    assert (found["session_id"], found["profile"], found["text"]) == (None, "window", "")
    assert len(backend.model.requests) == asked
    assert backend.sessions("nobody-yet") == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"message": " "}, 422, "invalid_input"),
        ({"message": "x" * 40_000}, 413, "message_too_long"),
        ({"message": "Hi.", "session_id": "s_0000000000000000"}, 404, "unknown_session"),
        ({"message": "Hi.", "profile": "deep"}, 422, "unknown_profile"),
    ],
)
def test_what_cannot_be_recalled_for_is_refused(
    backend: Backend, body: dict[str, Any], status: int, code: str
) -> None:
    response = backend.client.post("/v1/users/ada/context", json=body)
    assert (response.status_code, response.json()["code"]) == (status, code)


def test_another_users_session_is_unknown(backend: Backend) -> None:
    session = backend.say("owner", "Mine alone.").json()["session_id"]
    response = _ask(backend, "thief", "What was said?", session_id=session)
    assert response.status_code == 404
    assert "Mine" not in response.text
