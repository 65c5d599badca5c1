"""The command line: what it refuses in one line, and what it does."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from onionskin.service.cli.exit_codes import ExitCode
from tests.conftest import repository
from tests.service.conftest import Backend
from tests.services import environment, run_command, running_service


def _onionskin(
    *arguments: str, typed: str = "", **settings: str
) -> subprocess.CompletedProcess[str]:
    return run_command(
        arguments, environment=environment(**settings), folder=repository(), typed=typed
    )


def _error_text(done: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"ONIONSKIN_PROFILE": "deep"}, "layered"),
        ({"ONIONSKIN_EMBEDDER": "nonsense"}, "static"),
        ({"ONIONSKIN_EMBEDDER": "no.such.Module"}, "no.such.Module"),
        ({"ONIONSKIN_EMBEDDER": "openai"}, "OPENAI_API_KEY"),
        ({"ONIONSKIN_LANGUAGE": "klingon"}, "klingon"),
        ({"ONIONSKIN_MODEL": "nonsense"}, "ONIONSKIN_MODEL"),
        ({"ONIONSKIN_REDIS_URL": "http://x"}, "redis+cluster://"),
        ({"ONIONSKIN_PROFILES": "/no/such/file.toml"}, "/no/such/file.toml"),
        ({"ONIONSKIN_LARGEST_BODY": "many"}, "ONIONSKIN_LARGEST_BODY"),
        ({"ONIONSKIN_IDLE_TIMEOUT": "soon"}, "ONIONSKIN_IDLE_TIMEOUT"),
        ({"ONIONSKIN_HOST": "0.0.0.0"}, "--insecure"),
    ],
)
def test_a_setting_that_cannot_be_used_stops_the_start_in_one_line(
    tmp_path: Path, settings: dict[str, str], named: str
) -> None:
    done = _onionskin("serve", "--port", "0", "--data-dir", str(tmp_path), **settings)
    assert done.returncode == ExitCode.USAGE
    assert named in _error_text(done)
    assert done.stdout == ""


def test_a_port_that_is_taken_is_said_and_leaves_no_redis(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = _onionskin("serve", "--port", port, "--data-dir", str(tmp_path))
    assert done.returncode == ExitCode.USAGE
    assert "--port" in _error_text(done)
    pid = int((tmp_path / "redis.pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_service_and_its_redis(tmp_path: Path, number: signal.Signals) -> None:
    with running_service(tmp_path) as service:
        pid = int((tmp_path / "redis.pid").read_text())
        service.process.send_signal(number)
        assert service.process.wait(20) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_an_import_goes_up_once_with_a_progress_bar(backend: Backend, tmp_path: Path) -> None:
    file = tmp_path / "chat.jsonl"
    file.write_text('{"role": "user", "content": "I sold the boat."}\n' * 3)
    command = ("import", str(file), "--user", "bo}:{", "--url", backend.service.url)
    assert "3 messages stored in 1 session" in _onionskin(*command).stdout
    again = _onionskin(*command).stdout
    assert "0 messages stored" in again
    assert "resumed after line 3" in again
    file.write_text('{"role": "user"}\n')
    done = _onionskin(*command)
    assert done.returncode == ExitCode.FAILED
    assert "Line 1 cannot be used" in _error_text(done)


def test_an_import_of_another_form_is_asked_to_name_it(tmp_path: Path) -> None:
    file = tmp_path / "history.json"
    file.write_text('\n[{"type": "human", "data": {"content": "x"}}]')
    done = _onionskin("import", str(file), "--user", "bo", "--url", "http://127.0.0.1:9")
    assert done.returncode == ExitCode.FAILED
    assert "--form langchain" in _error_text(done)


def test_a_service_that_is_away_is_said_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "chat.jsonl"
    file.write_text('{"role": "user", "content": "x"}\n')
    done = _onionskin("import", str(file), "--user", "bo", "--url", "http://127.0.0.1:9")
    assert done.returncode == ExitCode.AWAY
    assert "onionskin serve" in _error_text(done)


def test_a_conversation_in_the_terminal(backend: Backend) -> None:
    typed = "My cat is called Tux.\n\nWhat is my cat called?\n"
    done = _onionskin("chat", "--user", "terminal", "--url", backend.service.url, typed=typed)
    assert done.returncode == 0
    assert done.stdout.count("You said:") >= 2
    assert "window: 2 messages" in done.stdout
    assert backend.transcript("terminal")[0] == "My cat is called Tux."
    assert len(backend.transcript("terminal")) == 4


def test_help_names_every_command() -> None:
    help_text = _onionskin("--help").stdout
    for command in ("serve", "chat", "import", "demo"):
        assert command in help_text
