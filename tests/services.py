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
from typing import IO

import httpx

from tests.hatching import Hatchery, Process

_FOREIGN = ("OPENAI_API_KEY", "ONIONSKIN_")
_OF_THE_TEST = "PYTEST_"
_HATCHERY = Hatchery()


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
def forking_services() -> Generator[None]:
    """While open, `running_service` forks from a process that has imported the service already.

    A fresh start takes seconds of a processor, nearly all of it for imports.
    """
    with _HATCHERY.open(_plain(environment())):
        yield


@contextmanager
def running_service(
    data_dir: Path, stderr: IO[str] | None = None, /, **settings: str
) -> Generator[Service]:
    """Start `onionskin serve` on a free port, and stop it in the end with SIGTERM.

    Args:
        data_dir: for the embedded Redis, where `ONIONSKIN_REDIS_URL` is not among the settings.
        stderr: where its log goes; to that of the tests if None.
        settings: environment variables.
    """
    arguments = ["serve", "--port", "0", "--data-dir", str(data_dir)]
    chosen = _chosen(settings)
    if not _HATCHERY.serves(_plain(chosen)):
        with _running(arguments, data_dir, stderr, settings) as service:
            yield service
        return
    with (
        _HATCHERY.forked(
            arguments, environment=chosen, folder=_folder(data_dir) or Path.cwd(), stderr=stderr
        ) as process,
        _served_by(process, data_dir) as service,
    ):
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
    with (
        subprocess.Popen(
            [sys.executable, "-P", "-m", "onionskin.service", *arguments],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=_chosen(settings),
            cwd=_folder(data_dir),
        ) as process,
        _served_by(process, data_dir) as service,
    ):
        yield service


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


def _chosen(settings: dict[str, str]) -> dict[str, str]:
    return environment(**{"ONIONSKIN_DRAIN_TIMEOUT": "5", **settings})


def _plain(chosen: dict[str, str]) -> dict[str, str]:
    """An environment without what Onionskin reads when it starts, and what names the test."""
    own = (*_FOREIGN, _OF_THE_TEST)
    return {name: value for name, value in chosen.items() if not name.startswith(own)}


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
