"""What a chat request or its profile says beside the message: system, options, store."""

from pathlib import Path
from typing import Any

import pytest

from tests.openai_server import Request
from tests.service.conftest import Backend

_PROFILES = """
[profiles.pirate]
layers = ["window", "vector"]
system = "You are a pirate."

[profiles.strict]
layers = ["vector"]
vector = { min_similarity = 0.4 }

[profiles.pirate.model]
temperature = 0.3
max_tokens = 50
"""


@pytest.fixture(scope="module")
def settings_of_backend(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    path: Path = tmp_path_factory.mktemp("profiles") / "profiles.toml"
    path.write_text(_PROFILES)
    return {"ONIONSKIN_PROFILES": str(path), "ONIONSKIN_BUDGET_USER_CALLS": "1000"}


def _asked(backend: Backend) -> Request:
    return backend.model.requests[-1]


def _limit(request: Request) -> Any:
    body = request.body
    return body.get("max_completion_tokens", body.get("max_tokens"))


def _keys(backend: Backend, user: str) -> dict[str, Any]:
    return backend.client.get(f"/v1/users/{user}/stats").json()


def test_system_and_options_reach_the_model_and_are_not_stored(backend: Backend) -> None:
    options = {"system": "Answer in French.", "temperature": 0.1, "max_tokens": 77}
    backend.say("ann", "Good evening.", **options).raise_for_status()
    request = _asked(backend)
    assert request.messages[0][0] == "system"
    assert request.messages[0][1].startswith("Answer in French.\n\n")
    assert (request.body["temperature"], _limit(request)) == (0.1, 77)
    assert "French" not in str(backend.transcript("ann"))
    backend.say("ann", "And now?").raise_for_status()
    assert "French" not in str(_asked(backend).messages)
    assert "temperature" not in _asked(backend).body


def test_a_profile_has_a_system_text_and_options_and_the_request_wins(backend: Backend) -> None:
    backend.say("bo", "Hello.", profile="pirate").raise_for_status()
    request = _asked(backend)
    assert request.messages[0][1].startswith("You are a pirate.\n\n")
    assert (request.body["temperature"], _limit(request)) == (0.3, 50)
    own = {"profile": "pirate", "system": "You are a monk.", "max_tokens": 9}
    backend.say("bo", "Hello.", **own).raise_for_status()
    request = _asked(backend)
    assert "pirate" not in request.messages[0][1]
    assert request.messages[0][1].startswith("You are a monk.")
    assert (request.body["temperature"], _limit(request)) == (0.3, 9)


def test_the_profiles_options_hold_at_openais_endpoint_too(backend: Backend) -> None:
    def complete(*system: dict[str, str], **more: Any) -> Request:
        messages = [*system, {"role": "user", "content": "Hi."}]
        body = {"model": "pirate", "user": "cy", "messages": messages, **more}
        backend.client.post("/v1/chat/completions", json=body).raise_for_status()
        return _asked(backend)

    request = complete()
    assert "You are a pirate." in request.messages[0][1]
    assert (request.body["temperature"], _limit(request)) == (0.3, 50)
    request = complete({"role": "system", "content": "A monk."}, max_completion_tokens=5)
    assert "pirate" not in request.messages[0][1]
    assert _limit(request) == 5


@pytest.mark.parametrize("stream", [False, True])
def test_without_storing_memory_is_read_and_no_trace_is_left(
    backend: Backend, *, stream: bool
) -> None:
    user = f"dee-{stream}"
    backend.say(user, "My dog is called Biscuit.").raise_for_status()
    before = _keys(backend, user)
    sessions = backend.sessions(user)
    more = {"store": False, "stream": stream}
    body = {"user_id": user, "message": "What is my dog called? I am ill.", **more}
    headers = {"Idempotency-Key": "k"}
    answer = backend.client.post("/v1/chat", json=body, headers=headers)
    assert answer.is_success, answer.text
    assert "Biscuit" in str(_asked(backend).messages)
    again = backend.client.post("/v1/chat", json=body, headers=headers)
    assert again.is_success  # the answer was not stored: the model is asked again
    assert _keys(backend, user) == before
    assert backend.sessions(user) == sessions
    assert "ill" not in str(backend.transcript(user))
    lock = backend.say(user, "Next.", on_conflict="reject")
    assert lock.is_success  # no lock is left
    assert "I am ill" not in str(_asked(backend).messages)


def test_without_storing_a_new_user_is_not_created(backend: Backend) -> None:
    answer = backend.say("eve", "Hello.", store=False).raise_for_status().json()
    assert (answer["session_id"], answer["turn_id"]) == ("", "")
    assert backend.sessions("eve") == []
    assert _keys(backend, "eve")["size_bytes"] == 0
    listed = backend.client.get("/v1/users", params={"limit": 200}).json()["users"]
    assert "eve" not in {one["user_id"] for one in listed}


@pytest.mark.parametrize("stream", [False, True])
def test_metadata_is_stored_with_the_message_and_found(backend: Backend, *, stream: bool) -> None:
    user, metadata = f"hal-{stream}", {"channel": "web", "n": 3}
    more = {"metadata": metadata, "stream": stream}
    backend.say(user, "My kite is red.", **more).raise_for_status()
    backend.say(user, "My kite is new.").raise_for_status()
    (session,) = backend.sessions(user)
    url = f"/v1/users/{user}/sessions/{session['session_id']}/messages"
    stored = backend.client.get(url).json()["messages"]
    assert [one["metadata"] for one in stored] == [metadata, {}, {}, {}]
    body = {"query": "kite", "metadata": {"n": {"$gte": 3}}}
    hits = backend.client.post(f"/v1/users/{user}/search", json=body).json()["hits"]
    assert [hit["message"]["content"] for hit in hits] == ["My kite is red."]
    assert "web" not in str(_asked(backend).messages)


def test_a_profile_recalls_nothing_below_its_minimum_similarity(backend: Backend) -> None:
    backend.model.reply = lambda _: "Noted."
    for message in ("My dog is called Biscuit.", "I painted the fence and the gate of my garden."):
        backend.say("gil", message).raise_for_status()

    def recalled(question: str, profile: str) -> list[str]:
        body = {"message": question, "profile": profile}
        context = backend.client.post("/v1/users/gil/context", json=body).json()
        return [hit["content"] for layer in context["memory"] for hit in layer["recalled"]]

    question = "What is the name of my dog?"
    assert recalled(question, "strict") == ["My dog is called Biscuit."]
    assert len(recalled(question, "vector")) > 1
    assert recalled("Is quantum gravity solved?", "strict") == []


@pytest.mark.parametrize(
    "more",
    [
        {"temperature": 3},
        {"temperature": -1},
        {"max_tokens": 0},
        {"system": "x" * 70_000},
        {"store": "perhaps"},
        {"metadata": {"a": "b" * 5000}},
        {"metadata": [1]},
    ],
)
def test_invalid_options_are_refused(backend: Backend, more: dict[str, Any]) -> None:
    answer = backend.say("fay", "Hello.", **more)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
