"""Servers in processes of their own, with the processor time and memory that they use."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from onionskin.memory.errors import ConfigurationError

_STOP_SECONDS = 30.0
_FOREIGN = ("OPENAI_", "ONIONSKIN_", "LANGSMITH_", "LANGCHAIN_", "OTEL_")
_UTIME, _STIME = 11, 12  # indexes of the fields after the name, proc_pid_stat(5)


class Server:
    """A server process that is starting or running; the first line of its output is its address."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self._process, self._log = process, log

    @cached_property
    def url(self) -> str:
        """Its address; waits until the server is ready.

        Raises:
            ConfigurationError: The server did not start.
        """
        for line in self._process.stdout or ():
            if found := address([line]):
                return found
        errors = self._log.read_text().strip().splitlines()[-1:]
        raise ConfigurationError(f"A server did not start: {' '.join(errors)}")

    @property
    def cpu_seconds(self) -> float | None:
        """Processor seconds used by it and its Redis; None without /proc."""
        try:
            return sum(map(_cpu_seconds, [self._process.pid, *_children(self._process.pid)]))
        except OSError:
            return None

    @property
    def cpu_seconds_by_name(self) -> list[tuple[str, float]]:
        """Name and processor seconds of it and of each child process."""
        pids = [self._process.pid, *_children(self._process.pid)]
        return [(Path(f"/proc/{pid}/comm").read_text(), _cpu_seconds(pid)) for pid in pids]

    @property
    def resident_bytes(self) -> int | None:
        """Its memory without its Redis; None without /proc."""
        try:
            pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        except OSError:
            return None
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def running(
    module: str, *arguments: str, log: Path, settings: dict[str, str] | None = None
) -> Generator[Server]:
    """Runs `python -m module` inside of the context.

    Args:
        module: Module to run.
        arguments: Its command line.
        log: File for its error output.
        settings: Environment variables; other ones of Onionskin or OpenAI are not passed on.
    """
    command = [sys.executable, "-W", "ignore", "-P", "-m", module, *arguments]
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=plain_environment() | (settings or {}),
        ) as process,
    ):
        try:
            yield Server(process, log)
        finally:
            stop(process)


def plain_environment() -> dict[str, str]:
    """This process's environment, without variables that configure the servers."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}


def stop(process: "subprocess.Popen[str]") -> None:
    """Stop a process by SIGTERM, and by SIGKILL after a timeout."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def address(lines: Sequence[str]) -> str:
    """The first address in lines; empty without one."""
    return next((found[0] for line in lines if (found := re.search(r"http://[^\s/]+", line))), "")


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[_UTIME]) + int(fields[_STIME])) / os.sysconf("SC_CLK_TCK")


def _children(pid: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
