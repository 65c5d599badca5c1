"""`uvicorn --factory onionskin.service.app:create_app`: the settings come from the environment."""

import re
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.services import environment

_COMMAND = [sys.executable, "-m", "uvicorn", "--factory", "onionskin.service.app:create_app"]


@contextmanager
def _uvicorn(folder: Path, *arguments: str, **settings: str) -> Generator[str]:
    command = [*_COMMAND, "--port", "0", "--no-access-log", *arguments]
    chosen = environment(ONIONSKIN_DATA_DIR=str(folder), ONIONSKIN_MODEL="offline", **settings)
    with subprocess.Popen(
        command, env=chosen, cwd=folder.parent, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            found = None
            for line in process.stderr or ():
                if found := re.search(r"running on (http://\S+)", line):
                    break
            assert found, process.wait()
            yield found[1]
        finally:
            process.terminate()
            process.communicate(timeout=20)


def test_the_environment_configures_the_application(tmp_path: Path) -> None:
    with _uvicorn(tmp_path / "data", ONIONSKIN_PROFILE="window") as url:
        body = {"user_id": "ann", "message": "My dog is called Biscuit."}
        answer = httpx.post(f"{url}/v1/chat", json=body, timeout=30)
        assert answer.is_success, answer.text
        assert answer.json()["profile"] == "window"
        assert httpx.get(f"{url}/readyz").is_success


def test_without_authentication_it_answers_nobody_in_the_network(tmp_path: Path) -> None:
    with _uvicorn(tmp_path / "data", "--host", "0.0.0.0") as url:
        port = url.rpartition(":")[2]
        assert httpx.get(f"http://127.0.0.1:{port}/v1/about", timeout=30).is_success
        address = _own_address()
        if address:
            answer = httpx.get(f"http://{address}:{port}/v1/about", timeout=30)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_an_invalid_setting_stops_the_start_and_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        [*_COMMAND, "--port", "0"],
        env=environment(ONIONSKIN_PORT="many"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode
    assert "ONIONSKIN_PORT cannot be 'many'" in done.stderr


def _own_address() -> str:
    """An address of this machine in a network, or ''."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent
        except OSError:
            return ""
        address = probe.getsockname()[0]
    return "" if address.startswith("127.") else address
