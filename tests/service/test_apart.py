"""Sessions set apart: nothing of them is recalled in a turn that says so."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.openai_server import OpenAIServer, Request
from tests.service.conftest import Backend, running_backend
from tests.waiting import until

_PROFILES = """
[profiles.learning]
layers = ["facts"]
extraction = { enabled = true, messages = 2, quiet_seconds = 1 }
"""
_NOTE: dict[str, Any] = {
    "line": 1,
    "kind": "fact",
    "content": "The boat is called Ondine.",
    "entities": [],
}
_NOTED: dict[str, Any] = {
    "memories": [{**_NOTE, "importance": 0.8, "same_as": None, "replaces": []}]
}


def _told(backend: Backend, user: str, **more: object) -> str:
    """A session in which the boat's name was told."""
    answer = backend.say(user, "My boat is called Ondine.", **more).raise_for_status().json()
    return answer["session_id"]


def _asked(backend: Backend, user: str, **more: object) -> dict[str, Any]:
    """What a new session was shown of the boat."""
    begun = backend.client.post(f"/v1/users/{user}/sessions", json={}).json()["session"]
    more["session_id"] = begun["session_id"]
    return backend.say(user, "What is my boat called?", **more).raise_for_status().json()


def _prompt(backend: Backend) -> str:
    return json.dumps(backend.model.requests[-1].body["messages"], ensure_ascii=False)


@pytest.mark.parametrize("profile", ["vector", "layered", "summary"])
def test_what_was_said_there_is_not_recalled(backend: Backend, profile: str) -> None:
    user = f"apart-{profile}"
    other = _told(backend, user)
    backend.client.post(f"/v1/users/{user}/sessions/{other}/close").raise_for_status()
    _asked(backend, user, profile=profile, apart_from=[other])
    assert "Ondine" not in _prompt(backend)
    _asked(backend, user, profile=profile)
    assert "Ondine" in _prompt(backend)


def test_a_stream_keeps_them_apart_too(backend: Backend) -> None:
    other = _told(backend, "flowing")
    begun = backend.client.post("/v1/users/flowing/sessions", json={}).json()["session"]
    more = {"session_id": begun["session_id"], "apart_from": [other], "stream": True}
    answer = backend.say("flowing", "What is my boat called?", **more)
    assert "event: done" in answer.text
    assert "Ondine" not in _prompt(backend)


def test_what_was_learned_there_is_not_recalled(model: OpenAIServer, tmp_path: Path) -> None:
    def reply(request: Request) -> str:
        return json.dumps(_NOTED) if "response_format" in request.body else "I see."

    model.reply = reply
    profiles = tmp_path / "profiles.toml"
    profiles.write_text(_PROFILES)
    settings = {"STRATA_PROFILES": str(profiles), "STRATA_PROFILE": "learning"}
    with running_backend(model, tmp_path, **settings) as backend:
        other = _told(backend, "ann")
        url = "/v1/users/ann/memories"
        until(lambda: backend.client.get(url).json()["memories"])
        assert _records(_asked(backend, "ann", apart_from=[other])) == []
        (known,) = backend.client.get(url).json()["memories"]
        assert known["id"] in _records(_asked(backend, "ann"))


def _records(answer: dict[str, Any]) -> list[str]:
    return next(one["records"] for one in answer["memory"] if one["layer"] == "facts")


@pytest.mark.parametrize(
    ("apart", "status"),
    [
        (["s_0123456789abcdef"], 404),
        (["me"], 422),
        ("s_0123456789abcdef", 422),
        (["s_0123456789abcdef"] * 17, 422),
    ],
)
def test_what_is_no_session_is_refused(backend: Backend, apart: object, status: int) -> None:
    answer = backend.say("nobody", "Hello.", apart_from=apart)
    assert (answer.status_code, backend.sessions("nobody")) == (status, [])


def test_another_users_session_is_unknown(backend: Backend) -> None:
    other = _told(backend, "somebody")
    answer = backend.say("somebody-else", "Hello.", apart_from=[other])
    assert answer.status_code == 404
    assert answer.json()["code"] == "unknown_session"
