"""Sessions set apart: nothing of them is recalled in a turn that says so."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.openai_faults import Fault
from tests.openai_server import OpenAIServer, Request
from tests.polling import until
from tests.service.conftest import Backend, running_backend

_ASKED = "What is my boat called?"
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


def _name_the_boat(backend: Backend, user: str, **more: object) -> str:
    """A session in which the user names the boat."""
    answer = backend.say(user, "My boat is called Ondine.", **more).raise_for_status().json()
    return answer["session_id"]


def _asked(backend: Backend, user: str, **more: object) -> dict[str, Any]:
    """What a new session was shown of the boat."""
    begun = backend.client.post(f"/v1/users/{user}/sessions", json={}).json()["session"]
    more["session_id"] = begun["session_id"]
    return backend.say(user, _ASKED, **more).raise_for_status().json()


def _prompt(backend: Backend) -> str:
    return json.dumps(backend.model.requests[-1].body["messages"], ensure_ascii=False)


@pytest.mark.parametrize("profile", ["vector", "layered", "summary"])
def test_what_was_said_there_is_not_recalled(backend: Backend, profile: str) -> None:
    user = f"apart-{profile}"
    other = _name_the_boat(backend, user)
    backend.client.post(f"/v1/users/{user}/sessions/{other}/close").raise_for_status()
    _asked(backend, user, profile=profile, apart_from=[other])
    assert "Ondine" not in _prompt(backend)
    _asked(backend, user, profile=profile)
    assert "Ondine" in _prompt(backend)


def test_a_stream_keeps_them_apart_too(backend: Backend) -> None:
    other = _name_the_boat(backend, "flowing")
    begun = backend.client.post("/v1/users/flowing/sessions", json={}).json()["session"]
    more = {"session_id": begun["session_id"], "apart_from": [other], "stream": True}
    answer = backend.say("flowing", _ASKED, **more)
    assert "event: done" in answer.text
    assert "Ondine" not in _prompt(backend)


def test_what_was_learned_there_is_not_recalled(model: OpenAIServer, tmp_path: Path) -> None:
    def reply(request: Request) -> str:
        return json.dumps(_NOTED) if "response_format" in request.body else "I see."

    model.reply = reply
    profiles = tmp_path / "profiles.toml"
    profiles.write_text(_PROFILES)
    settings = {"ONIONSKIN_PROFILES": str(profiles), "ONIONSKIN_PROFILE": "learning"}
    with running_backend(model, tmp_path, **settings) as backend:
        other = _name_the_boat(backend, "ann")
        url = "/v1/users/ann/memories"
        until(lambda: backend.client.get(url).json()["memories"])
        assert _records(_asked(backend, "ann", apart_from=[other])) == []
        (known,) = backend.client.get(url).json()["memories"]
        assert known["id"] in _records(_asked(backend, "ann"))
        _name_the_boat(backend, "ann", session_id=_asked(backend, "ann")["session_id"])
        until(lambda: backend.client.get(f"{url}/{known['id']}").json()["confirmed"])
        assert known["id"] in _records(_asked(backend, "ann", apart_from=[other]))


def _records(answer: dict[str, Any]) -> list[str]:
    return next(one["records"] for one in answer["memory"] if one["layer"] == "facts")


def test_what_is_said_there_while_a_turn_waits_is_not_recalled_either(backend: Backend) -> None:
    other = _name_the_boat(backend, "patient", profile="window")
    begun = backend.client.post("/v1/users/patient/sessions", json={}).json()["session"]
    here = {"session_id": begun["session_id"]}
    backend.model.faults.append(Fault(delay=timedelta(seconds=2), purpose="completions"))
    asked = len(backend.model.requests)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(backend.say, "patient", "Take your time.", **here)
        until(lambda: len(backend.model.requests) > asked)
        second = pool.submit(backend.say, "patient", _ASKED, **here, apart_from=[other])
        said = {"session_id": other, "profile": "window"}
        backend.say("patient", "My boat is called Undine now.", **said).raise_for_status()
        assert first.result().is_success
        assert second.result().is_success
    assert "ndine" not in _prompt(backend)
    assert _ASKED in _prompt(backend)


def test_a_turn_is_not_set_apart_from_its_own_session(backend: Backend) -> None:
    here = _name_the_boat(backend, "own")
    for more in ({}, {"session_id": here}):
        answer = backend.say("own", _ASKED, apart_from=[here], **more)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    answer = backend.say("own", _ASKED, session_id=here, on_conflict="reject").raise_for_status()
    assert answer.json()["session_id"] == here
    assert len(backend.transcript("own")) == 4


@pytest.mark.parametrize(
    "apart", [["me"], "s_0123456789abcdef", [7], ["s_0123456789abcdef"] * 17, {}]
)
def test_what_cannot_be_a_session_is_refused(backend: Backend, apart: object) -> None:
    answer = backend.say("nobody", "Hello.", apart_from=apart)
    assert (answer.status_code, backend.sessions("nobody")) == (422, [])


def test_sessions_that_are_gone_or_anothers_make_no_difference(backend: Backend) -> None:
    others = _name_the_boat(backend, "somebody")
    gone = _name_the_boat(backend, "somebody-else")
    backend.client.delete(f"/v1/users/somebody-else/sessions/{gone}").raise_for_status()
    _name_the_boat(backend, "somebody-else")
    _asked(backend, "somebody-else", profile="vector", apart_from=[others, gone])
    assert "Ondine" in _prompt(backend)
