"""Replaced messages over HTTP: unseen, listed on request, restorable."""

import json
from typing import Any

import httpx

from tests.openai_server import Fault
from tests.service.conftest import Backend


def _messages(backend: Backend, user: str, session_id: str, **query: Any) -> list[dict[str, Any]]:
    path = f"/v1/users/{user}/sessions/{session_id}/messages"
    return backend.client.get(path, params=query).raise_for_status().json()["messages"]


def _texts(messages: list[dict[str, Any]]) -> list[str]:
    return [message["content"] for message in messages]


def _stopped(backend: Backend, user: str, text: str) -> str:
    """The session of a stream that the client leaves after its first words."""
    backend.model.reply = lambda _: "one two three four five six seven eight"
    backend.model.faults.append(Fault(cut_after_tokens=2, purpose="completions"))
    body = {"user_id": user, "message": text, "stream": True}
    answer = backend.client.post("/v1/chat", json=body).text
    assert "event: error" in answer
    return backend.sessions(user)[0]["session_id"]


def _restore(backend: Backend, user: str, session_id: str, position: int) -> httpx.Response:
    path = f"/v1/users/{user}/sessions/{session_id}/restore"
    return backend.client.post(path, json={"position": position})


def test_what_a_retry_replaces_is_listed_on_request_and_can_be_restored(backend: Backend) -> None:
    session_id = _stopped(backend, "again", "Count to eight.")
    assert _texts(_messages(backend, "again", session_id)) == ["Count to eight.", "one two"]
    backend.say("again", "Count to eight.").raise_for_status()
    live = _messages(backend, "again", session_id)
    whole = "one two three four five six seven eight"
    assert _texts(live) == ["Count to eight.", whole]
    assert backend.sessions("again")[0]["messages"] == 2
    everything = _messages(backend, "again", session_id, abandoned=True)
    assert [message["abandoned"] for message in everything] == [True, True, False, False]
    turn = backend.client.get(f"/v1/users/again/turns/{session_id}.0").json()
    assert turn["abandoned"]
    assert _texts(turn["messages"]) == ["Count to eight.", "one two"]

    restored = _restore(backend, "again", session_id, 1).raise_for_status().json()
    assert restored["messages"] == 2
    assert _texts(_messages(backend, "again", session_id)) == ["Count to eight.", "one two"]
    backend.say("again", "Go on.").raise_for_status()
    prompt = json.dumps(backend.model.requests[-1].body["messages"])
    assert "one two" in prompt
    assert "three" not in prompt


def test_pages_of_live_messages_skip_abandoned_ones(backend: Backend) -> None:
    session_id = _stopped(backend, "pages", "Count.")
    backend.say("pages", "Count.").raise_for_status()
    backend.say("pages", "More.").raise_for_status()
    path, found, cursor = f"/v1/users/pages/sessions/{session_id}/messages", list[str](), None
    while True:
        query = {"limit": 1} | ({"cursor": cursor} if cursor else {})
        page = backend.client.get(path, params=query).raise_for_status().json()
        found += _texts(page["messages"])
        if not (cursor := page["next_cursor"]):
            break
    assert found == _texts(_messages(backend, "pages", session_id))
    assert len(found) == 4


def test_a_branch_that_does_not_exist_is_refused(backend: Backend) -> None:
    session_id = backend.say("none", "Hello.").raise_for_status().json()["session_id"]
    assert _restore(backend, "none", session_id, 99).status_code == 422
    assert _restore(backend, "none", "s_0123456789abcdef", 0).status_code == 404
    assert _restore(backend, "none", session_id, 0).is_success
    assert len(_messages(backend, "none", session_id)) == 2


def test_a_copy_and_an_export_of_a_session_with_branches(backend: Backend) -> None:
    session_id = _stopped(backend, "copied", "Count.")
    backend.say("copied", "Count.").raise_for_status()
    copy = backend.client.post(f"/v1/users/copied/sessions/{session_id}/fork").json()
    assert copy["messages"] == 2
    export = backend.client.get("/v1/users/copied/export").text
    lines = {"Content-Type": "application/x-ndjson"}
    done = backend.client.post("/v1/users/restored/import", content=export, headers=lines)
    assert done.is_success, done.text
    everything = _messages(backend, "restored", session_id, abandoned=True)
    assert [message["abandoned"] for message in everything] == [True, True, False, False]
    assert len(_messages(backend, "restored", session_id)) == 2
    prompt = backend.client.post(
        "/v1/users/restored/context", json={"message": "Count.", "profile": "vector"}
    ).json()
    assert prompt["memory"][0]["recalled"] == [] or all(
        int(hit["position"]) >= 2 or hit["session_id"] != session_id
        for layer in prompt["memory"]
        for hit in layer["recalled"]
    )
