"""Who may ask: API keys, scopes and tenants, and how often."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from onionskin.service.cli.exit_codes import ExitCode
from tests.polling import until
from tests.services import Service, environment, run_command, running_service


def _keys(data_dir: Path, *arguments: str) -> str:
    done = run_command(
        ["keys", *arguments], environment=environment(ONIONSKIN_DATA_DIR=str(data_dir))
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _made(data_dir: Path, *arguments: str) -> dict[str, str]:
    return json.loads(_keys(data_dir, "create", "--json", *arguments))


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Path]]:
    """A service that asks for API keys."""
    data_dir = tmp_path_factory.mktemp("guarded")
    with running_service(data_dir, ONIONSKIN_AUTH="keys", ONIONSKIN_MODEL="offline") as service:
        yield service, data_dir


def _say(client: httpx.Client, user: str, message: str, key: str) -> httpx.Response:
    body = {"user_id": user, "message": message}
    return client.post("/v1/chat", json=body, headers=_bearer(key))


def test_without_a_key_nothing_is_answered(guarded: tuple[Service, Path]) -> None:
    service, _ = guarded
    with service.client() as client:
        for headers in (
            [],
            [(b"Authorization", b"Bearer sk-onionskin-nothing")],
            [(b"Authorization", b"Bearer " + b"x" * 5000)],
            [(b"Authorization", b"Basic YTpi")],
            [(b"X-API-Key", "sk-onionskin-\u00e9-\u00e9".encode())],
        ):
            answer = client.get("/v1/users/alice/sessions", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert client.get("/healthz").status_code == 200


def test_keys_reach_their_tenant_and_a_users_key_that_user(guarded: tuple[Service, Path]) -> None:
    service, data_dir = guarded
    acme = _made(data_dir, "--tenant", "acme")["key"]
    other = _made(data_dir, "--tenant", "other")["key"]
    alice = _made(data_dir, "--tenant", "acme", "--user", "alice")["key"]
    with service.client() as client:
        assert _say(client, "alice", "The code is 4711.", acme).status_code == 200
        mine = client.get("/v1/users/alice/sessions", headers={"X-API-Key": alice})
        assert len(mine.json()["sessions"]) == 1
        theirs = client.get("/v1/users/alice/sessions", headers=_bearer(other))
        assert theirs.json()["sessions"] == []
        session_id = mine.json()["sessions"][0]["session_id"]
        foreign = client.get(f"/v1/users/alice/sessions/{session_id}", headers=_bearer(other))
        assert foreign.status_code == 404
        assert _say(client, "bob", "Hello.", acme).status_code == 200
        for answer in (
            client.get("/v1/users/bob/sessions", headers=_bearer(alice)),
            client.get("/v1/users/bob/memories", headers=_bearer(alice)),
            client.get("/v1/users/nobody/sessions", headers=_bearer(alice)),
            _say(client, "bob", "Hello.", alice),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "unknown_user")


def test_a_revoked_key_is_refused_within_seconds(guarded: tuple[Service, Path]) -> None:
    service, data_dir = guarded
    made = _made(data_dir, "--name", "for the test")
    listed = json.loads(_keys(data_dir, "list", "--json"))
    assert made["key"] not in json.dumps(listed)
    assert "for the test" in [one["name"] for one in listed]
    with service.client() as client:
        url = "/v1/users/alice/sessions"
        assert client.get(url, headers=_bearer(made["key"])).status_code == 200
        _keys(data_dir, "revoke", made["id"])
        deadline = time.monotonic() + 8
        while client.get(url, headers=_bearer(made["key"])).status_code == 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_keys_are_stored_hashed(guarded: tuple[Service, Path]) -> None:
    _, data_dir = guarded
    made = _made(data_dir)
    secret = made["key"].rpartition(f"{made['id']}-")[2].encode()
    files = [one.read_bytes() for one in data_dir.rglob("*.aof")]
    assert any(made["id"].encode() in one for one in files)
    assert not any(secret in one for one in files)


def test_it_listens_beyond_the_machine_only_with_authentication(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-P",
        "-m",
        "onionskin.service",
        "serve",
        "--port",
        "0",
        "--host",
        "0.0.0.0",
    ]
    done = subprocess.run(
        command,
        env=environment(ONIONSKIN_DATA_DIR=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == ExitCode.USAGE
    assert "ONIONSKIN_AUTH" in done.stderr


def test_more_requests_than_allowed_wait(tmp_path: Path) -> None:
    settings = {"ONIONSKIN_MODEL": "offline", "ONIONSKIN_RATE_USER": "3/minute"}
    with running_service(tmp_path, **settings) as service, service.client() as client:
        url = "/v1/users/alice/sessions"
        answers = [client.get(url) for _ in range(5)]
        assert [one.status_code for one in answers] == [200, 200, 200, 429, 429]
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 61
        assert client.get("/v1/users/bob/sessions").status_code == 200


def test_a_key_expires_and_is_listed_with_its_expiry(guarded: tuple[Service, Path]) -> None:
    service, data_dir = guarded
    at = (datetime.now(UTC) + timedelta(seconds=4)).isoformat()
    made = _made(data_dir, "--name", "brief", "--expires", at)
    lasting = _made(data_dir, "--name", "lasting", "--expires", "30d")
    assert datetime.fromisoformat(made["expires"]) == datetime.fromisoformat(at)
    with service.client() as client:
        url = "/v1/users/alice/sessions"
        assert client.get(url, headers=_bearer(made["key"])).is_success

        def refusal() -> bool:
            answer = client.get(url, headers=_bearer(made["key"]))
            return answer.status_code == 401 and "expired" in answer.json()["detail"]

        until(refusal)
        assert client.get(url, headers=_bearer(lasting["key"])).is_success
    listed = {one["id"]: one for one in json.loads(_keys(data_dir, "list", "--json"))}
    assert listed[made["id"]]["expires"] == made["expires"]
    left = datetime.fromisoformat(listed[lasting["id"]]["expires"]) - datetime.now(UTC)
    assert timedelta(days=29) < left <= timedelta(days=30)
    assert "(expired)" in _keys(data_dir, "list")
    for wrong in ("soon", "0d", "2020-01-01", "99999999d"):
        arguments = ["keys", "create", "--expires", wrong]
        done = run_command(arguments, environment=environment(ONIONSKIN_DATA_DIR=str(data_dir)))
        assert done.returncode == ExitCode.USAGE, wrong
        assert wrong in done.stderr
