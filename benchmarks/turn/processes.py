"""Servers as processes of their own, and what the kernel knows of them."""

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
_UTIME, _STIME = 11, 12  # of the fields behind the name, proc_pid_stat(5)


class Server:
    """A server that runs, or is about to: it tells its address in its first line."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self._process, self._log = process, log

    @cached_property
    def url(self) -> str:
        """Where it is, once it is there.

        Raises:
            ConfigurationError: it does not start.
        """
        for line in self._process.stdout or ():
            if found := address([line]):
                return found
        told = self._log.read_text().strip().splitlines()[-1:]
        raise ConfigurationError(f"A server does not start: {' '.join(told)}")

    @property
    def cpu_seconds(self) -> float | None:
        """The processor time that it and its Redis have used; None where there is no /proc."""
        try:
            return sum(map(_cpu_seconds, [self._process.pid, *_children(self._process.pid)]))
        except OSError:
            return None

    @property
    def cpu_seconds_by_name(self) -> list[tuple[str, float]]:
        """The processor time of it and each of its children, with what each is called."""
        pids = [self._process.pid, *_children(self._process.pid)]
        return [(Path(f"/proc/{pid}/comm").read_text(), _cpu_seconds(pid)) for pid in pids]

    @property
    def resident_bytes(self) -> int | None:
        """Its memory, without its Redis; None where there is no /proc."""
        try:
            pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        except OSError:
            return None
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def running(
    module: str, *arguments: str, log: Path, settings: dict[str, str] | None = None
) -> Generator[Server]:
    """Run `python -m module`, and stop it in the end.

    Args:
        module: what to run.
        arguments: of its command line.
        log: a file for its complaints.
        settings: environment variables. None of Onionskin's or OpenAI's are passed on beside them.
    """
    command = [sys.executable, "-W", "ignore", "-P", "-m", module, *arguments]
    with (
        log.open("w") as complaints,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            env=plain_environment() | (settings or {}),
        ) as process,
    ):
        try:
            yield Server(process, log)
        finally:
            stop(process)


def plain_environment() -> dict[str, str]:
    """This process's environment, without what would change the servers' ways."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}


def stop(process: "subprocess.Popen[str]") -> None:
    """SIGTERM, and SIGKILL where that does not help."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def address(lines: Sequence[str]) -> str:
    """The first address in lines, or nothing."""
    return next((found[0] for line in lines if (found := re.search(r"http://[^\s/]+", line))), "")


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[_UTIME]) + int(fields[_STIME])) / os.sysconf("SC_CLK_TCK")


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
