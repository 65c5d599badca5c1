"""Sessions and turns as resources: begun, noted, closed for their silence, shown again."""

import time
from pathlib import Path
from typing import Any

import httpx

from tests.service.conftest import Backend
from tests.services import running_service


def test_a_turn_names_what_the_model_was_shown(backend: Backend) -> None:
    backend.model.reply = lambda _: "I see."
    kept = {"content": "Calls her boat Albatross.", "pinned": True}
    record = backend.client.post("/v1/users/t1/memories", json=kept).json()["id"]
    first = backend.say("t1", "My locker has the number 4711.").json()
    for number in range(12):
        backend.say("t1", f"Idle talk, part {number}.")
    backend.client.post(f"/v1/users/t1/sessions/{first['session_id']}/close")
    answer = backend.say("t1", "Which number has my locker?").json()
    turn = backend.client.get(f"/v1/users/t1/turns/{answer['turn_id']}").json()
    assert turn["said"]["content"] == "Which number has my locker?"
    assert turn["replied"]["content"] == "I see."
    shown = {layer["layer"]: layer for layer in turn["shown"]}
    assert [layer["layer"] for layer in answer["memory"]] == list(shown)
    assert shown["facts"]["records"] == [record]
    best = shown["vector"]["recalled"][0]
    assert best["message"]["content"] == "My locker has the number 4711."
    assert best["score"] == answer["memory"][3]["recalled"][0]["score"]
    assert abs(best["score"] - sum(best["parts"].values())) < 1e-3
    for layer, used in zip(turn["shown"], answer["memory"], strict=True):
        assert (layer["tokens"], layer["summary"]) == (used["tokens"], used["summary"])
    backend.client.delete(f"/v1/users/t1/sessions/{answer['session_id']}")
    for user in ("t1", "t1-other"):
        gone = backend.client.get(f"/v1/users/{user}/turns/{answer['turn_id']}")
        assert (gone.status_code, gone.json()["code"]) == (404, "unknown_turn")


def test_each_answer_names_the_memory_that_gave_it(backend: Backend) -> None:
    answers = [backend.say("t4", "Hello.", profile=one).json() for one in ("layered", "none")]
    session = f"/v1/users/t4/sessions/{answers[0]['session_id']}"
    copy = backend.client.post(f"{session}/fork").json()["session_id"]
    exported = backend.client.get("/v1/users/t4/export").content
    backend.client.post("/v1/users/t4-b/import", content=exported).raise_for_status()
    for place in (session, f"/v1/users/t4/sessions/{copy}", session.replace("t4", "t4-b")):
        messages = backend.client.get(f"{place}/messages").json()["messages"]
        assert [one["profile"] for one in messages] == [None, "layered", None, "none"]
    turn = backend.client.get(f"/v1/users/t4/turns/{answers[0]['turn_id']}").json()
    assert (turn["said"]["profile"], turn["replied"]["profile"]) == (None, "layered")
    lines = b'{"role": "user", "content": "Hi."}\n{"role": "assistant", "content": "Hello."}'
    done = backend.client.post("/v1/users/t4-c/import", content=lines).json()
    url = f"/v1/users/t4-c/sessions/{done['sessions'][0]}/messages"
    messages = backend.client.get(url).json()["messages"]
    assert [one["profile"] for one in messages] == [None, None]


def test_a_session_begins_with_what_is_known(backend: Backend) -> None:
    backend.client.put("/v1/users/t2/preferences/tone", json={"content": "Be brief."})
    backend.client.post("/v1/users/t2/memories", json={"content": "Has a dog called Rex."})
    before = backend.say("t2", "Hello there.").json()["session_id"]
    body = {"title": "Walks", "metadata": {"from": ["app"]}, "message": "Where is my dog?"}
    answer = backend.client.post("/v1/users/t2/sessions", json=body)
    assert answer.status_code == 201
    begun = answer.json()
    assert begun["session"]["title"] == "Walks"
    assert begun["session"]["metadata"] == {"from": ["app"]}
    assert [one["session_id"] for one in begun["earlier"]] == [before]
    assert [one["content"] for one in begun["standing"]] == ["Be brief."]
    assert begun["relevant"][0]["memory"]["content"] == "Has a dog called Rex."
    session_id = begun["session"]["session_id"]
    said = backend.say("t2", "Good morning.").json()
    assert said["session_id"] == session_id
    assert said["memory"][1]["earlier_sessions"] == [before]
    assert said["messages_unfolded"] == 0
    assert backend.say("t2", "And again.").json()["messages_unfolded"] == 2


def test_title_and_metadata_can_be_changed(backend: Backend) -> None:
    session_id = backend.say("t3", "Hello.").json()["session_id"]
    url = f"/v1/users/t3/sessions/{session_id}"
    assert backend.client.patch(url, json={"title": "A title"}).json()["title"] == "A title"
    changed = backend.client.patch(url, json={"metadata": {"a": 1}}).json()
    assert (changed["title"], changed["metadata"]) == ("A title", {"a": 1})
    assert backend.client.patch(url, json={}).status_code == 422
    unknown = backend.client.patch("/v1/users/t3/sessions/s_0000000000000000", json={"title": "x"})
    assert unknown.status_code == 404
    forked = backend.client.post(f"{url}/fork").json()
    assert forked["metadata"] == {"a": 1}


def _until_closed(client: httpx.Client, user: str, *, within: float = 20.0) -> dict[str, Any]:
    deadline = time.monotonic() + within
    while True:
        session = client.get(f"/v1/users/{user}/sessions").json()["sessions"][0]
        if session["closed"] and session["folded_upto"] == session["messages"]:
            return session
        assert time.monotonic() < deadline, session
        time.sleep(0.1)


def test_a_silent_session_is_folded_whole_and_closed(tmp_path: Path) -> None:
    settings = {"ONIONSKIN_MODEL": "offline", "ONIONSKIN_CLOSE_AFTER": "1"}
    with running_service(tmp_path, **settings) as service, service.client() as client:
        for text in ("My dog is called Biscuit.", "He is a beagle."):
            client.post("/v1/chat", json={"user_id": "u", "message": text}).raise_for_status()
        session = _until_closed(client, "u")
        assert "Biscuit" in session["summary"]
        asked = {"user_id": "u", "message": "What is my dog called?"}
        answer = client.post("/v1/chat", json=asked).json()
        assert answer["new_session"] is True
        assert "Biscuit" in answer["reply"]


def test_closing_folds_what_is_left(backend: Backend) -> None:
    backend.model.reply = lambda _: "The user greeted."
    session_id = backend.say("t5", "Hello.").json()["session_id"]
    backend.client.post(f"/v1/users/t5/sessions/{session_id}/close").raise_for_status()
    assert _until_closed(backend.client, "t5")["summary"] == "The user greeted."
