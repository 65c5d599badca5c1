"""The command line as tests run it: as a process, with its output caught or on a terminal."""

import os
import pty
import subprocess
from pathlib import Path

from tests.services import ONIONSKIN, environment, run_command


def onionskin(
    *arguments: str, typed: str = "", folder: Path | None = None, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with no terminal anywhere."""
    return run_command(arguments, environment=environment(**settings), folder=folder, typed=typed)


def error_text(done: subprocess.CompletedProcess[str]) -> str:
    """Its standard error, as one line without a traceback."""
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


def on_a_terminal(*arguments: str, **settings: str) -> tuple[str, str]:
    """Run a command whose standard error is a terminal; its output, and what the terminal saw."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*ONIONSKIN, *arguments],
        env=environment(TERM="xterm", COLUMNS="200", **settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    ) as process:
        os.close(theirs)
        seen = read_all(ours)
        assert process.stdout is not None
        printed = process.stdout.read()
    assert process.returncode == 0, seen
    return printed, seen


def read_all(terminal: int) -> str:
    """Everything that is written to a terminal until the writer ends."""
    seen = b""
    with open(terminal, "rb", buffering=0) as opened:
        try:
            while chunk := opened.read(1 << 16):
                seen += chunk
        except OSError:  # Linux says so of a terminal that nobody has any more
            pass
    return seen.decode()
