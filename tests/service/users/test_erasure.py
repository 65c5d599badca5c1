"""Sixty seconds after a user is erased, or a session expires, no byte of it is left."""

import json
import time
from pathlib import Path

import httpx

from tests.service.file_search import found_in_files, found_in_redis
from tests.services import running_service

_WITHIN_SECONDS = 60.0
_SAID = "The canary-text sings."


def _live(client: httpx.Client, user: str) -> None:
    """Leave a trace of every sort."""
    home, key = f"/v1/users/{user}", {"Idempotency-Key": "canary-key"}
    for stream in (False, True):
        body = {"user_id": user, "message": _SAID, "stream": stream}
        client.post("/v1/chat", json=body, headers=key if stream else {}).raise_for_status()
    messages = [{"role": "user", "content": _SAID}]
    completion = {"model": "layered", "user": user, "messages": messages}
    client.post("/v1/chat/completions", json=completion).raise_for_status()
    made = client.post(f"{home}/memories", json={"content": _SAID}).raise_for_status().json()
    client.patch(f"{home}/memories/{made['id']}", json={"content": f"{_SAID}!"}).raise_for_status()
    client.post(f"{home}/import", content=json.dumps({"role": "user", "content": _SAID}))
    client.get(f"{home}/export").raise_for_status()


def _wait_until_gone(folder: Path, *wanted: str) -> None:
    deadline = time.monotonic() + _WITHIN_SECONDS
    while left := [one for text in wanted for one in found_in_files(folder, text)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def test_an_erased_user_is_in_no_file_after_a_minute(tmp_path: Path) -> None:
    data, log = tmp_path / "data", tmp_path / "log"
    settings = {"ONIONSKIN_MODEL": "offline", "ONIONSKIN_LOG_LEVEL": "debug"}
    with (
        log.open("w") as file,
        running_service(data, file, **settings) as service,
        service.client() as client,
    ):
        _live(client, "canary-user")
        client.post("/v1/chat", json={"user_id": "stays", "message": "Stay."}).raise_for_status()
        assert found_in_files(data, "canary-user")
        client.delete("/v1/users/canary-user").raise_for_status()
        assert found_in_redis(data, "canary") == []
        _wait_until_gone(tmp_path, "canary-user", "canary-text", "canary-key")
        assert found_in_files(data, "Stay.")
        assert client.get("/v1/users/stays/stats").json()["messages"] == 2


def test_a_rewrite_that_a_killed_service_left_due_is_made_by_the_next(tmp_path: Path) -> None:
    data = tmp_path / "data"
    settings = {"ONIONSKIN_MODEL": "offline"}
    with running_service(data, **settings) as service, service.client() as client:
        _live(client, "canary-user")
        client.delete("/v1/users/canary-user").raise_for_status()
        service.kill()
    with running_service(data, **settings):
        _wait_until_gone(data, "canary")


def test_an_expired_session_is_not_read_and_then_deleted(tmp_path: Path) -> None:
    settings = {"ONIONSKIN_MODEL": "offline", "ONIONSKIN_RETAIN_SESSIONS": "1"}
    with running_service(tmp_path, **settings) as service, service.client() as client:
        body = {"user_id": "alice", "message": _SAID}
        answer = client.post("/v1/chat", json=body).raise_for_status().json()
        url = f"/v1/users/alice/sessions/{answer['session_id']}"
        deadline = time.monotonic() + _WITHIN_SECONDS
        while client.get(url).is_success:
            assert time.monotonic() < deadline
        assert client.get("/v1/users/alice/sessions").json()["sessions"] == []
        _wait_until_gone(tmp_path, "canary-text")
        assert found_in_redis(tmp_path, "canary-text") == []
