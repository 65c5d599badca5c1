"""Times at the edges: bounded at every entry, and no reader or index depends on a usual one."""

import json
from typing import Any

import pytest

from tests.service.conftest import Backend

_TOO_EARLY = ["0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z"]
_TOO_LATE = ["9999-12-31T23:59:59.999999-14:00", "9999-12-31T23:59:59Z"]
_EDGES = [
    "0001-01-02T00:00:00Z",
    "1969-12-31T23:00:00Z",
    "1970-01-01T00:00:00Z",
    "9999-12-30T00:00:00Z",
]


def _import(backend: Backend, user: str, content: str, time: object) -> Any:
    line = json.dumps({"role": "user", "content": content, "time": time, "session": "old"})
    return backend.client.post(
        f"/v1/users/{user}/import",
        content=line,
        headers={"Content-Type": "application/x-ndjson"},
    )


@pytest.mark.parametrize("time", _TOO_EARLY + _TOO_LATE)
def test_a_time_out_of_bounds_is_refused_at_every_entry(backend: Backend, time: str) -> None:
    client = backend.client
    assert _import(backend, "alice", "The canal is old.", time).status_code == 422
    for field in ("expires", "valid_from", "valid_to"):
        body = {"content": "The canal is old.", field: time}
        assert client.post("/v1/users/alice/memories", json=body).status_code == 422
    session = client.post("/v1/users/alice/sessions", json={}).json()["session"]["session_id"]
    message = {"role": "user", "content": "The canal is old.", "time": time}
    appended = client.post(
        f"/v1/users/alice/sessions/{session}/messages", json={"messages": [message]}
    )
    assert appended.status_code == 422
    for path in ("memories", "sessions"):
        assert client.get(f"/v1/users/alice/{path}").status_code == 200


@pytest.mark.parametrize("seconds", [-1e15, 1e15, 253_402_300_799.0])
def test_unix_seconds_out_of_bounds_are_refused(backend: Backend, seconds: float) -> None:
    assert _import(backend, "alice", "The canal is old.", seconds).status_code == 422


@pytest.mark.parametrize("time", _EDGES)
def test_a_message_of_any_accepted_time_is_listed_recalled_exported_and_erased(
    backend: Backend, time: str
) -> None:
    client, user = backend.client, "edge"
    assert _import(backend, user, "The canal is called Hermes.", time).status_code == 200
    (session,) = client.get(f"/v1/users/{user}/sessions").json()["sessions"]
    assert session["messages"] == 1
    assert backend.say(user, "What is the canal called?").status_code == 200
    assert "Hermes" in str(backend.model.requests[-1].messages)
    assert "Hermes" in client.get(f"/v1/users/{user}/export").text
    receipt = client.delete(f"/v1/users/{user}").json()
    assert receipt["sessions"] >= 1
    assert receipt["messages"] == 3
    assert client.get(f"/v1/users/{user}/sessions").json()["sessions"] == []


def test_a_session_dated_in_the_future_does_not_stay_the_latest(backend: Backend) -> None:
    assert _import(backend, "bob", "A letter to come.", "2071-05-01T00:00:00Z").status_code == 200
    created = backend.client.post("/v1/users/bob/sessions", json={}).json()["session"]
    backend.say("bob", "Hello.", session_id=created["session_id"])
    assert backend.say("bob", "And again.").json()["session_id"] == created["session_id"]
