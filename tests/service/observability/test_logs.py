"""The log says what happens, and to whom under names of its own; it never says what was said."""

import json
import re
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from onionskin.memory.types.messages import User
from onionskin.service.observability.pseudonyms import pseudonym
from tests.openai_faults import Fault
from tests.openai_server import OpenAIServer
from tests.services import running_service

_USER = "canary-user"
_TEXT = "The canary-text sings."


@contextmanager
def _logging(folder: Path, log: Path, **more: str) -> Generator[httpx.Client]:
    """A service that logs all it can into a file, standard output too."""
    settings = {
        "ONIONSKIN_MODEL": "offline",
        "ONIONSKIN_LOG_LEVEL": "debug",
        "ONIONSKIN_LOG_FORMAT": "json",
    }
    with (
        log.open("a") as file,
        running_service(folder, file, **settings | more) as service,
        service.client() as client,
    ):
        yield client


def _lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def _say(client: httpx.Client, user: str = _USER, **more: object) -> httpx.Response:
    return client.post("/v1/chat", json={"user_id": user, "message": _TEXT, **more})


def _everything(client: httpx.Client) -> None:
    """Whatever could have a log tell too much."""
    answer = _say(client).raise_for_status().json()
    _say(client, stream=True).raise_for_status()
    _say(client, "canary user/with slash")
    _say(client, session_id="s_0000000000000000")
    messages = [{"role": "user", "content": _TEXT}]
    for body in ({"user": _USER}, {"user": _USER, "stream": True}, {"metadata": {"task": "tags"}}):
        completion = {"model": "layered", "messages": messages, **body}
        client.post("/v1/chat/completions", json=completion).raise_for_status()
    home = f"/v1/users/{_USER}"
    client.post(f"{home}/memories", json={"content": _TEXT}).raise_for_status()
    client.post(f"{home}/memories/search", json={"query": _TEXT}).raise_for_status()
    client.put(f"{home}/preferences/canary-text", json={"content": _TEXT}).raise_for_status()
    line = json.dumps({"role": "user", "author": "canary-author", "content": _TEXT})
    client.post(f"{home}/import", content=f"{line}\n".encode()).raise_for_status()
    client.post(f"{home}/import", content=b'{"canary-text')
    client.get(f"{home}/sessions", params={"cursor": "canary-text"})
    client.get(f"{home}/turns/{answer['turn_id']}").raise_for_status()
    client.request("POST", "/v1/chat", content=b'{"canary-text": ')
    client.get("/canary-text", params={"canary-user": _TEXT}, headers={"X-Canary": "canary-text"})
    key = {"Idempotency-Key": "canary-text"}
    for _ in range(2):
        client.post("/v1/chat", json={"user_id": _USER, "message": _TEXT}, headers=key)
    client.get(f"{home}/export").raise_for_status()
    client.delete(home).raise_for_status()


def test_no_line_has_a_text_or_a_users_id(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with _logging(tmp_path / "data", log) as client:
        _everything(client)
    assert "canary" not in log.read_text()
    requests = [line for line in _lines(log) if line["event"] == "request"]
    assert len(requests) >= 20
    assert {line["route"] for line in requests} >= {"/v1/chat", "/v1/users/{user_id}/memories"}
    assert all(line["request_id"] and line["milliseconds"] > 0 for line in requests)
    named = {line["user"] for line in requests if line["route"].startswith("/v1/users/")}
    assert len(named) == 1
    assert re.fullmatch("u_[0-9a-f]{12}", named.pop())


def test_failures_of_the_model_and_of_jobs_tell_no_more(
    model: OpenAIServer, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    profiles = tmp_path / "profiles.toml"
    profiles.write_text(
        '[profiles.classic]\nlayers = ["classic"]\n'
        '[profiles.classic.classic]\nmemory = "ConversationSummaryMemory"\n'
    )
    settings = {
        "ONIONSKIN_MODEL_BASE_URL": model.base_url,
        "ONIONSKIN_MODEL": "test-model",
        "ONIONSKIN_MODEL_RETRIES": "0",
        "ONIONSKIN_REQUEST_TIMEOUT": "1",
        "ONIONSKIN_PROFILES": str(profiles),
    }
    with _logging(tmp_path / "data", log, **settings) as client:
        for fault in (Fault(status=500), Fault(hang=True), Fault(body=b"canary-text"), Fault()):
            for stream in (False, True):
                model.faults.append(fault)
                with suppress(httpx.RemoteProtocolError):  # a stream that is cut off
                    _say(client, stream=stream)
        assert _say(client, profile="classic").is_success
        model.faults.append(Fault(body=b'{"canary-text": 1}'))
        assert "classic" in str(_say(client, profile="classic").json()["degraded"])
        model.reply = lambda request: "" if "running summary" in request.messages[0][1] else "Yes."
        for _ in range(40):
            _say(client).raise_for_status()
        deadline = time.monotonic() + 20
        while "job failed" not in log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert "canary" not in log.read_text()
    lines = _lines(log)
    (user,) = {line["user"] for line in lines if line["event"] == "request"}
    events = {line["event"]: line for line in lines}
    assert events.keys() >= {"request timed out", "job failed", "layer failed"}
    assert {line["user"] for line in lines if "user" in line} == {user}
    assert events["job failed"]["error"] == "model_failed"
    assert events["layer failed"]["layer"] == "classic"


def test_a_name_is_stable_in_a_deployment_and_means_nothing_elsewhere(tmp_path: Path) -> None:
    named: list[str] = []
    for number, folder in enumerate(("one", "one", "two")):
        log = tmp_path / str(number)
        with _logging(tmp_path / folder, log) as client:
            _say(client).raise_for_status()
        named += [line["user"] for line in _lines(log) if line["event"] == "request"]
    assert named[0] == named[1] != named[2]


def test_users_and_tenants_have_names_of_their_own() -> None:
    users = [User("a"), User("b"), User("a", "b"), User("b/a"), User("b", "a"), User("a/b")]
    assert len({pseudonym(key, user) for key in (b"k" * 32, b"l" * 32) for user in users}) == 12
