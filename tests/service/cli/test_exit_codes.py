"""How commands end, seen from outside."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from onionskin.service.cli.exit_codes import MEANINGS, ExitCode
from tests.service.conftest import Backend
from tests.service.terminal import ONIONSKIN, error_text, onionskin
from tests.services import environment

_NO_REDIS = {"ONIONSKIN_REDIS_URL": "redis://127.0.0.1:1"}
_NO_SERVICE = ("--url", "http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("code", "arguments", "settings"),
    [
        (ExitCode.OK, ("--version",), {}),
        (ExitCode.OK, ("encryption", "key", "k1"), {}),
        (ExitCode.FAILED, ("keys", "revoke", "nobodys"), {}),
        (ExitCode.FAILED, ("jobs", "drop", "none"), {}),
        (ExitCode.FAILED, ("doctor", "--no-model"), _NO_REDIS),
        (ExitCode.FAILED, ("erase", "--user", "bo"), {}),
        (ExitCode.USAGE, (), {}),
        (ExitCode.USAGE, ("nonsense",), {}),
        (ExitCode.USAGE, ("serve", "--port", "x"), {}),
        (ExitCode.USAGE, ("serve", "--port", "99999"), {}),
        (ExitCode.USAGE, ("config", "show"), {"ONIONSKIN_PORT": "x"}),
        (ExitCode.USAGE, ("jobs", "retry"), {}),
        (ExitCode.USAGE, ("import", "no-such-file", "--user", "bo"), {}),
        (ExitCode.USAGE, ("import", ".", "--user", "bo"), {}),
        (ExitCode.USAGE, ("export", "--user", ".."), {}),
        (ExitCode.USAGE, ("export", "--user", "bo", "--url", "nonsense"), {}),
        (ExitCode.USAGE, ("keys", "create", "--tenant", ""), {}),
        (ExitCode.USAGE, ("encryption", "rotate"), {}),
        (ExitCode.AWAY, ("export", "--user", "bo", *_NO_SERVICE), {}),
        (ExitCode.AWAY, ("erase", "--user", "bo", "--yes", *_NO_SERVICE), {}),
        (ExitCode.AWAY, ("chat", *_NO_SERVICE), {}),
        (ExitCode.AWAY, ("experiment", "replay", "--user", "bo", *_NO_SERVICE), {}),
        (ExitCode.AWAY, ("keys", "list"), _NO_REDIS),
        (ExitCode.AWAY, ("jobs", "list", "--json"), _NO_REDIS),
        (ExitCode.AWAY, ("reindex", "--json"), _NO_REDIS),
        (ExitCode.AWAY, ("keys", "list"), {"ONIONSKIN_DATA_DIR": "/proc/none"}),
    ],
)
def test_each_kind_of_ending_has_its_number(
    tmp_path: Path, code: ExitCode, arguments: tuple[str, ...], settings: dict[str, str]
) -> None:
    done = onionskin(*arguments, folder=tmp_path, **settings)
    assert done.returncode == code, done
    error_text(done)
    if code is not ExitCode.OK and arguments and arguments[0] != "doctor":
        assert done.stdout == ""
        assert done.stderr


def test_commands_distinguish_a_refusal_from_an_absent_service(
    backend: Backend, tmp_path: Path
) -> None:
    file = tmp_path / "chat.jsonl"
    file.write_bytes(b"\xbd\x00")
    at = ("--url", backend.service.url)
    done = onionskin("import", str(file), "--user", "bo", *at)
    assert done.returncode == ExitCode.FAILED
    assert error_text(done).startswith("onionskin: Line 1 cannot be used")
    done = onionskin("chat", "--profile", "deep", *at, typed="Hello?\nAnd now?\n")
    assert done.returncode == ExitCode.FAILED
    assert error_text(done).startswith("onionskin: No memory profile 'deep'")


def test_ctrl_c_ends_a_command_without_a_word(backend: Backend) -> None:
    command = [*ONIONSKIN, "chat", "--json", "--url", backend.service.url]
    with subprocess.Popen(
        command,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("Hello.\n")
        process.stdin.flush()
        assert process.stdout.readline().startswith('{"reply":')  # it waits for the next message
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=20)
    assert process.returncode == ExitCode.INTERRUPTED
    assert complaint == ""


@pytest.mark.parametrize(
    "arguments", [("--help",), ("config", "show"), ("config", "show", "--json"), ("keys", "list")]
)
def test_a_reader_that_goes_and_a_full_disk_make_no_traceback(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    full = os.open("/dev/full", os.O_WRONLY) if Path("/dev/full").exists() else None
    for output, code, said in (
        (theirs, ExitCode.UNREAD, ""),
        (full, ExitCode.FAILED, "onionskin: No space left on device.\n"),
    ):
        if output is None:
            continue
        done = subprocess.run(
            [*ONIONSKIN, *arguments],
            cwd=tmp_path,
            env=environment(),
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        os.close(output)
        assert (done.returncode, done.stderr) == (code, said)


def test_help_names_every_code() -> None:
    shown = " ".join(onionskin("--help").stdout.split())
    for code, meaning in MEANINGS.items():
        assert f"{code.value} {meaning}" in shown
