"""Forking a session: a copy goes on by itself, and the original stays as it is."""

from typing import Any

from tests.service.conftest import Backend


def _say(backend: Backend, message: str, session_id: str | None = None) -> dict[str, Any]:
    body = {"user_id": "alice", "message": message, "session_id": session_id}
    answer = backend.client.post("/v1/chat", json=body)
    assert answer.is_success, answer.text
    return answer.json()


def _messages(backend: Backend, session_id: str) -> list[str]:
    url = f"/v1/users/alice/sessions/{session_id}/messages"
    return [one["content"] for one in backend.client.get(url).json()["messages"]]


def _fork(backend: Backend, session_id: str, **body: object) -> dict[str, Any]:
    answer = backend.client.post(f"/v1/users/alice/sessions/{session_id}/fork", json=body)
    assert answer.is_success, answer.text
    return answer.json()


def test_a_fork_goes_on_by_itself(backend: Backend) -> None:
    session_id = _say(backend, "My boat is called Ondine.")["session_id"]
    _say(backend, "She lies in Brest.", session_id)
    before = _messages(backend, session_id)
    fork = _fork(backend, session_id, profile="window")
    assert fork["session_id"] != session_id
    assert fork["profile"] == "window"
    assert _messages(backend, fork["session_id"]) == before
    _say(backend, "I sold her.", fork["session_id"])
    assert _messages(backend, session_id) == before
    assert _messages(backend, fork["session_id"])[: len(before)] == before
    assert len(_messages(backend, fork["session_id"])) == len(before) + 2


def test_a_fork_may_take_the_beginning_alone(backend: Backend) -> None:
    session_id = _say(backend, "One.")["session_id"]
    _say(backend, "Two.", session_id)
    fork = _fork(backend, session_id, messages=2)
    assert _messages(backend, fork["session_id"]) == _messages(backend, session_id)[:2]
    assert _fork(backend, session_id, messages=0)["messages"] == 0


def test_a_message_and_its_copy_are_recalled_once(backend: Backend) -> None:
    session_id = _say(backend, "My kite is called Gustave.")["session_id"]
    _fork(backend, session_id)
    _fork(backend, session_id)
    backend.client.post(f"/v1/users/alice/sessions/{session_id}/close")
    body = {"user_id": "alice", "message": "What is my kite called?", "profile": "vector"}
    recalled = [
        hit["content"]
        for section in backend.client.post("/v1/chat", json=body).json()["memory"]
        for hit in section["recalled"]
    ]
    assert recalled.count("My kite is called Gustave.") == 1


def test_a_fork_of_nothing_or_under_no_profile_is_refused(backend: Backend) -> None:
    url = "/v1/users/alice/sessions/{}/fork"
    assert backend.client.post(url.format("s_" + "0" * 16)).status_code == 404
    session_id = _say(backend, "Hello.")["session_id"]
    for body in ({"profile": "nope"}, {"messages": -1}, {"messages": "x"}, {"other": 1}):
        answer = backend.client.post(url.format(session_id), json=body)
        assert answer.status_code == 422, body
    other = backend.client.post(f"/v1/users/bob/sessions/{session_id}/fork")
    assert other.status_code == 404
