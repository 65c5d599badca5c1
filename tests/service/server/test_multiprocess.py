"""Several processes on one address, by one command."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from onionskin.service.cli.exit_codes import ExitCode
from tests.services import environment, running_many

_MODEL = {"ONIONSKIN_MODEL": "offline"}


def _children(pid: int) -> set[int]:
    """The processes that a process started and that serve."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(one) for one in found if b"--fd" in Path(f"/proc/{one}/cmdline").read_bytes()}


def test_they_share_what_is_remembered_and_one_that_dies_is_replaced(tmp_path: Path) -> None:
    with running_many(tmp_path / "data", 2, **_MODEL) as service:
        workers = _children(service.process.pid)
        assert len(workers) == 2
        for number in range(8):  # each on a connection of its own, to whichever takes it
            said = {"user_id": "ann", "message": f"Line {number}."}
            httpx.post(f"{service.url}/v1/chat", json=said, timeout=60).raise_for_status()
        os.kill(min(workers), signal.SIGKILL)
        deadline = time.monotonic() + 60
        while len(now := _children(service.process.pid)) < 2 or now == workers:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        url = f"{service.url}/v1/users/ann/sessions"
        (session,) = httpx.get(url, timeout=60).json()["sessions"]
        assert session["messages"] == 16
        service.process.terminate()
        assert service.process.wait(60) == 0
        assert not any(Path(f"/proc/{one}").exists() for one in now)


def test_what_cannot_be_served_is_reported_once(tmp_path: Path) -> None:
    settings = environment(ONIONSKIN_DATA_DIR=str(tmp_path / "data"), ONIONSKIN_MODEL="nonsense:x")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "onionskin.service", "serve", "--workers", "2", "--port", "0"],
        env=settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == ExitCode.USAGE
    assert "ONIONSKIN_MODEL" in done.stderr
    assert "see its output above" in done.stderr
    assert not done.stdout  # it never served
