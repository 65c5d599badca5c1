"""The service as a process of its own, the way a user runs it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import httpx

from tests.support import forkserver
from tests.support.forkserver import Process

_FOREIGN = ("OPENAI_API_KEY", "ONIONSKIN_")
ONIONSKIN = [sys.executable, "-P", "-m", "onionskin.service"]
"""The command line as a fresh process."""
_END_SECONDS = 20.0
_READ_AT_START = (*_FOREIGN, "OTEL_", "FASTAPI_OTEL_", "LANGSMITH_", "LANGCHAIN_", "PYTEST_")
"""Variables that no import reads: processes that differ in them alone can be forked."""
_READ_WHENEVER = ("COLUMNS", "TERM", "NO_COLOR", "HOME")


@dataclass(frozen=True, slots=True)
class Service:
    """A running `onionskin serve`."""

    process: Process
    url: str
    data_dir: Path

    def client(self, timeout: float = 30.0) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=timeout)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self.process.kill()
        self.process.wait(10)

    def stop_redis(self) -> None:
        """SIGTERM for the embedded Redis, which outlives a service that was killed."""
        os.kill(int((self.data_dir / "redis.pid").read_text()), signal.SIGTERM)


def environment(**settings: str) -> dict[str, str]:
    """This process's environment without settings of Onionskin's, and then `settings`."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return plain | settings


@contextmanager
def running_service(
    data_dir: Path, stderr: IO[str] | None = None, /, **settings: str
) -> Generator[Service]:
    """Start `onionskin serve` on a free port, and stop it in the end with SIGTERM.

    Args:
        data_dir: Folder of the embedded Redis, unless the settings name another Redis.
        stderr: File of its log; that of the tests if None.
        settings: Environment variables.
    """
    arguments = ["serve", "--port", "0", "--data-dir", str(data_dir)]
    with _running(arguments, data_dir, stderr, settings) as service:
        yield service


@contextmanager
def running_many(data_dir: Path, workers: int, /, **settings: str) -> Generator[Service]:
    """Start `onionskin serve` with several processes on a free port, and stop it with SIGTERM."""
    arguments = ["serve", "--port", "0", "--workers", str(workers), "--data-dir", str(data_dir)]
    with _running(arguments, data_dir, None, settings) as service:
        yield service


@contextmanager
def running_worker(data_dir: Path, /, **settings: str) -> Generator[Service]:
    """Start `onionskin worker`, whose figures are on a free port, and stop it with SIGTERM."""
    arguments = ["worker", "--port", "0", "--data-dir", str(data_dir)]
    with _running(arguments, data_dir, None, settings) as worker:
        yield worker


@contextmanager
def _running(
    arguments: Sequence[str], data_dir: Path, stderr: IO[str] | None, settings: dict[str, str]
) -> Generator[Service]:
    chosen = environment(**{"ONIONSKIN_DRAIN_TIMEOUT": "5", **settings})
    with (
        started(arguments, environment=chosen, folder=_folder(data_dir), stderr=stderr) as process,
        _served_by(process, data_dir) as service,
    ):
        yield service


@contextmanager
def started(
    arguments: Sequence[str],
    *,
    environment: dict[str, str],
    folder: Path | None = None,
    stderr: IO[str] | int | None = None,
) -> Generator[Process]:
    """`onionskin` with these arguments; whatever still runs in the end is killed.

    It is forked where that makes no difference, and started afresh elsewhere.
    """
    if not _can_fork(environment):
        with subprocess.Popen(
            [*ONIONSKIN, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=environment,
            cwd=folder,
        ) as process:
            try:
                yield process
            finally:
                process.kill()
        return
    errors = 2 if stderr is None else stderr if isinstance(stderr, int) else stderr.fileno()
    read, write = os.pipe()
    with os.fdopen(read, encoding="utf-8") as stdout, Path(os.devnull).open("rb") as nothing:
        try:
            process = forkserver.start(
                arguments,
                environment=environment,
                folder=folder or Path.cwd(),
                streams=(nothing.fileno(), write, errors),
            )
        finally:
            os.close(write)
        process.stdout = stdout
        try:
            yield process
        finally:
            process.kill()
            process.wait(_END_SECONDS)


def run_command(
    arguments: Sequence[str],
    *,
    environment: dict[str, str],
    folder: Path | None = None,
    typed: str = "",
    check: bool = False,
    timeout: float = 120.0,
) -> subprocess.CompletedProcess[str]:
    """Run `onionskin` with these arguments to its end, with no terminal anywhere.

    Args:
        arguments: The command line behind `onionskin`.
        environment: The whole environment of the process.
        folder: Its current folder; that of the tests if None.
        typed: Its standard input.
        check: Whether a failing exit code is an error.
        timeout: Seconds after which the process is killed.
    """
    if not _can_fork(environment):
        return subprocess.run(
            [*ONIONSKIN, *arguments],
            cwd=folder,
            env=environment,
            input=typed,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=check,
        )
    with TemporaryFile("w+") as given, TemporaryFile("w+") as output, TemporaryFile("w+") as errors:
        given.write(typed)
        given.flush()
        given.seek(0)
        process = forkserver.start(
            arguments,
            environment=environment,
            folder=folder or Path.cwd(),
            streams=(given.fileno(), output.fileno(), errors.fileno()),
        )
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
        output.seek(0)
        errors.seek(0)
        done = subprocess.CompletedProcess(arguments, code, output.read(), errors.read())
        if check:
            done.check_returncode()
        return done


def _can_fork(chosen: dict[str, str]) -> bool:
    return forkserver.is_available() and _plain(chosen) == _plain(dict(os.environ))


def _plain(chosen: dict[str, str]) -> dict[str, str]:
    """An environment without the variables that are read at a start, and not by imports."""
    read_later = (*_READ_AT_START, *_READ_WHENEVER)
    return {name: value for name, value in chosen.items() if not name.startswith(read_later)}


@contextmanager
def _served_by(process: Process, data_dir: Path) -> Generator[Service]:
    try:
        yield Service(process, _address(process), data_dir)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def _folder(data_dir: Path) -> Path | None:
    """Where a service runs: away from a developer's .env."""
    return data_dir.parent if data_dir.parent.is_dir() else None


def read_transcript(client: httpx.Client, user: str) -> list[str]:
    """All that was said in a user's only session, page by page."""
    (session,) = client.get(f"/v1/users/{user}/sessions").json()["sessions"]
    url = f"/v1/users/{user}/sessions/{session['session_id']}/messages"
    said: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": "200"} | ({"cursor": cursor} if cursor else {})
        page = client.get(url, params=params).json()
        said += [one["content"] for one in page["messages"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return said


def _address(process: Process) -> str:
    for line in process.stdout or ():
        if found := re.search(r"http://[^\s/]+", line):
            return found[0]
    raise AssertionError(f"the service did not start; it ended with {process.wait()}")
