"""kill -9: what was acknowledged is there, whole; what was left undone is done."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from onionskin.service.cli.exit_codes import ExitCode
from tests.conftest import repository
from tests.services import Service, environment, read_transcript, running_service


def _talk(service: Service, acknowledged: list[str], stop: threading.Event) -> None:
    with service.client() as client:
        for number in itertools.count():
            body = {"user_id": "alice", "message": f"Message {number}.", "profile": "window"}
            try:
                response = client.post("/v1/chat", json=body)
            except httpx.HTTPError:
                return
            if response.is_success:
                acknowledged.append(body["message"])
            if stop.is_set():
                return


@pytest.mark.parametrize("redis_too", [True, False])
def test_every_acknowledged_turn_survives_kill_9(tmp_path: Path, redis_too: bool) -> None:
    acknowledged: list[str] = []
    with running_service(tmp_path) as service:
        talking = threading.Thread(target=_talk, args=(service, acknowledged, threading.Event()))
        talking.start()
        while len(acknowledged) < 60:
            time.sleep(0.001)
        redis = int((tmp_path / "redis.pid").read_text())
        if redis_too:
            os.kill(redis, signal.SIGKILL)
        service.kill()
        talking.join(10)
    with running_service(tmp_path) as service, service.client() as client:
        said = read_transcript(client, "alice")
    assert len(said) % 2 == 0
    users = said[::2]
    assert users[: len(acknowledged)] == acknowledged
    assert len(users) <= len(acknowledged) + 1


def test_redis_may_die_and_the_service_recovers_by_itself(tmp_path: Path) -> None:
    with running_service(tmp_path) as service, service.client() as client:
        body = {"user_id": "alice", "message": "Before the crash.", "profile": "window"}
        client.post("/v1/chat", json=body).raise_for_status()
        for _ in range(3):
            os.kill(int((tmp_path / "redis.pid").read_text()), signal.SIGKILL)
            deadline = time.monotonic() + 20
            while not (response := client.post("/v1/chat", json=body)).is_success:
                assert response.status_code == 503
                assert int(response.headers["retry-after"]) >= 1
                assert response.json()["code"] == "store_unavailable"
                assert time.monotonic() < deadline
            assert client.get("/readyz").is_success
        assert len(read_transcript(client, "alice")) == 8


def test_a_second_service_on_one_data_directory_says_so_and_exits(tmp_path: Path) -> None:
    with running_service(tmp_path) as service:
        second = subprocess.run(
            [
                sys.executable,
                "-P",
                "-m",
                "onionskin.service",
                "serve",
                "--port",
                "0",
                "--data-dir",
                str(tmp_path),
            ],
            env=environment(),
            cwd=repository(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert second.returncode == ExitCode.AWAY
        error_text = " ".join(second.stderr.split())
        assert f"process {service.process.pid}) already runs" in error_text
        assert "Traceback" not in error_text
        with service.client() as client:
            assert client.get("/readyz").is_success


def test_a_summary_due_at_the_start_is_written_without_a_turn(tmp_path: Path) -> None:
    with running_service(tmp_path) as service, service.client() as client:
        body = {"user_id": "alice", "message": "Message."}
        url = ""
        for _ in range(12):
            session_id = client.post("/v1/chat", json=body).json()["session_id"]
            url = f"/v1/users/alice/sessions/{session_id}"
        assert client.get(url).json()["folded_upto"] == 0
        service.kill()
    eager = tmp_path / "profiles.toml"
    eager.write_text(
        '[profiles.layered]\nlayers = ["window", "summary", "vector"]\n'
        "[profiles.layered.window]\nkeep_pairs = 2\n"
        "[profiles.layered.summary]\nfold_messages = 12\n"
    )
    chosen = {"ONIONSKIN_PROFILES": str(eager)}
    with running_service(tmp_path, **chosen) as service, service.client() as client:
        deadline = time.monotonic() + 20
        while not (session := client.get(url).json())["folded_upto"]:
            assert time.monotonic() < deadline
        assert session["folded_upto"] == 20
        assert "Message" in session["summary"]
