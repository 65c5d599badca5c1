"""Services forked from a process that has imported them, for tests that start many."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

_ENDS_WITHIN = 20.0


class Process(Protocol):
    """What tests do with a process that they started: as `subprocess.Popen` does it."""

    pid: int
    stdout: IO[str] | None

    @property
    def returncode(self) -> int | None: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int, /) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


class Forked:
    """A process that another one forked for us, and whose end it tells."""

    def __init__(self, told: socket.socket, stdout: IO[str]) -> None:
        self._told = told
        self.pid = int(told.recv(64))
        self.stdout: IO[str] | None = stdout
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self._told.settimeout(timeout)
            try:
                told = self._told.recv(64)
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired("onionskin", timeout or 0.0) from None
            assert told, "what forks services has ended"
            self.returncode = int(told)
        return self.returncode

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, sig: int, /) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Hatchery:
    """The process that forks, started with the first order.

    It is used while it is `open`, on Linux, and for environments that differ from that in which
    its imports were made in nothing but Onionskin's own settings.
    """

    def __init__(self) -> None:
        self._is_open = False
        self._began_with: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._orders: socket.socket | None = None

    @contextmanager
    def open(self, plain: dict[str, str]) -> Generator[None]:
        """Fork from now on, for environments that are `plain` but for Onionskin's settings."""
        self._is_open, self._began_with = sys.platform == "linux", plain
        try:
            yield
        finally:
            self._is_open = False
            if self._process and self._orders:
                self._orders.close()
                self._process.wait(_ENDS_WITHIN)

    def serves(self, plain: dict[str, str]) -> bool:
        """Whether a process in such an environment may be forked."""
        return self._is_open and plain == self._began_with

    @contextmanager
    def forked(
        self,
        arguments: Sequence[str],
        *,
        environment: dict[str, str],
        folder: Path,
        stderr: IO[str] | None,
    ) -> Generator[Forked]:
        """`onionskin` with these arguments."""
        orders = self._orders or self._start()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        read, written = os.pipe()
        order = {"arguments": arguments, "environment": environment, "folder": str(folder)}
        errors = 2 if stderr is None else stderr.fileno()
        with theirs, os.fdopen(written):
            socket.send_fds(
                orders, [json.dumps(order).encode()], [theirs.fileno(), written, errors]
            )
        with ours, os.fdopen(read, encoding="utf-8") as stdout:
            process = Forked(ours, stdout)
            try:
                yield process
            finally:
                process.kill()
                process.wait(_ENDS_WITHIN)

    def _start(self) -> socket.socket:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.hatchery", str(theirs.fileno())],
                cwd=Path(__file__).parent.parent,
                env=self._began_with,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        return self._orders
