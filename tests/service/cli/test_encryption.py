"""A service with master keys: its disk reveals nothing; wrong or missing keys are reported."""

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx

from onionskin.memory.store.encryption.master_keys import generate_master_key, read_master_keys
from onionskin.service.cli.exit_codes import ExitCode
from tests.services import environment, read_transcript, run_command, running_service

_TEXT = "My xylograph is called Biscuit."
_ONCE = {"Idempotency-Key": "once"}


@contextmanager
def _service(folder: Path, keys: str, **more: str) -> Generator[httpx.Client]:
    settings = {"ONIONSKIN_MODEL": "offline", "ONIONSKIN_ENCRYPTION_KEYS": keys} | more
    with running_service(folder, **settings) as service, service.client() as client:
        yield client


def _onionskin(folder: Path, keys: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    settings = environment(ONIONSKIN_DATA_DIR=str(folder), ONIONSKIN_ENCRYPTION_KEYS=keys)
    return run_command(arguments, environment=settings)


def _say(client: httpx.Client, user: str = "alice", text: str = _TEXT) -> httpx.Response:
    return client.post("/v1/chat", json={"user_id": user, "message": text}, headers=_ONCE)


def _live(client: httpx.Client) -> str:
    """A turn, a memory, a preference and a title; the session's id."""
    session_id = _say(client).raise_for_status().json()["session_id"]
    user = "/v1/users/alice"
    client.post(
        f"{user}/memories", json={"content": "xylograph", "topic": "xylograph"}
    ).raise_for_status()
    client.put(f"{user}/preferences/food", json={"content": "xylograph"}).raise_for_status()
    client.patch(
        f"{user}/sessions/{session_id}", json={"title": "xylograph", "metadata": {"a": "xylograph"}}
    ).raise_for_status()
    return session_id


def _disk(folder: Path) -> bytes:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.suffix == ".aof" for path in files)
    return b"".join(path.read_bytes() for path in files)


def test_the_disk_reveals_nothing_and_the_service_everything(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(generate_master_key("k1") + "\n")
    for _ in range(2):
        more = {"ONIONSKIN_ENCRYPTION_KEYS_FILE": str(file)}
        with _service(tmp_path / "sealed", "", **more) as client:
            session_id = _live(client)
            again = _say(client)
            assert again.headers["Idempotency-Replayed"] == "true"
            found = client.get(f"/v1/users/alice/sessions/{session_id}").json()
            assert found["title"] == "xylograph"
            assert _TEXT in read_transcript(client, "alice")
            assert (
                "Biscuit"
                in client.post(
                    "/v1/chat", json={"user_id": "alice", "message": "What is my xylograph called?"}
                ).text
            )
            assert "xylograph" in client.get("/v1/users/alice/export").text
    assert b"xylograph" not in _disk(tmp_path / "sealed")
    with _service(tmp_path / "plain", "") as client:
        _live(client)
    assert b"xylograph" in _disk(tmp_path / "plain")


def test_plain_data_are_sealed_by_a_command(tmp_path: Path) -> None:
    keys = generate_master_key("k1")
    with _service(tmp_path, "") as client:
        _live(client)
    refused = _onionskin(tmp_path, "", "encryption", "seal")
    assert refused.returncode == ExitCode.USAGE
    assert "set ONIONSKIN_ENCRYPTION_KEYS" in refused.stderr
    done = _onionskin(tmp_path, keys, "encryption", "seal")
    assert done.returncode == 0, done.stderr
    assert " values encrypted, in " in done.stdout
    assert b"xylograph" not in _disk(tmp_path)
    with _service(tmp_path, keys, ONIONSKIN_ENCRYPTION_PLAINTEXT="refuse") as client:
        assert _TEXT in read_transcript(client, "alice")


def test_a_key_that_is_missing_wrong_or_lost_is_reported(tmp_path: Path) -> None:
    first, second = generate_master_key("k1"), generate_master_key("k2")
    with _service(tmp_path, first) as client:
        _live(client)
    for keys, said in (
        ("", "The stored data are encrypted"),
        (second, "'k1', which is not among"),
        (generate_master_key("k1"), "differs from the one"),
        ("k1:short", "'k1' is not 32 bytes"),
    ):
        done = _onionskin(tmp_path, keys, "serve", "--port", "0")
        assert done.returncode == ExitCode.USAGE
        assert said in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr
    assert _onionskin(tmp_path, second, "encryption", "forget", "k1").returncode == 0
    assert _onionskin(tmp_path, second, "encryption", "forget", "k1").returncode == ExitCode.FAILED
    with _service(tmp_path, second) as client:
        for answer in (_say(client), client.get("/v1/users/alice/sessions")):
            assert answer.status_code == 503
            assert answer.json()["code"] == "sealed"
            assert "'k1', which is not among" in answer.json()["detail"]
        _say(client, "bo").raise_for_status()
        assert client.delete("/v1/users/alice").json()["sessions"] == 1
        _say(client).raise_for_status()


def test_a_master_key_is_drawn_on_request(tmp_path: Path) -> None:
    made, other = (
        _onionskin(tmp_path, "", "encryption", "key", "2026-11").stdout for _ in range(2)
    )
    assert made.startswith("2026-11:")
    assert made != other
    assert list(read_master_keys(f"{made} {other.replace('2026-11', 'b')}").keys) == [
        "2026-11",
        "b",
    ]
    assert _onionskin(tmp_path, "", "encryption", "key", "a b").returncode == ExitCode.USAGE
