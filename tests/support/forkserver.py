"""`onionskin` in processes forked from one that has imported it: multiprocessing's fork server.

A fork runs the command line with its own arguments, environment, folder and standard streams, and
ends like any process. A fresh start takes seconds of a processor, nearly all of it for imports.
"""

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import reduction
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import IO, Any, Protocol

_PRELOAD = "tests.support.preload"
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([_PRELOAD])


class Process(Protocol):
    """The part of `subprocess.Popen` that tests use."""

    pid: int
    stdout: IO[str] | None

    @property
    def returncode(self) -> int | None: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int, /) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


class ForkedProcess:
    """A running fork, with the interface of `subprocess.Popen`."""

    def __init__(self, process: ForkServerProcess, stdout: IO[str] | None) -> None:
        assert process.pid
        self._process, self.pid, self.stdout = process, process.pid, stdout

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired("onionskin", timeout or 0.0)
        return code

    def send_signal(self, sig: int, /) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class _Descriptor:
    """A file descriptor that reaches the fork with its arguments."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __reduce__(self) -> tuple[Any, tuple[Any]]:
        return _received, (reduction.DupFd(self._number),)


def _received(duplicate: Any) -> int:
    return duplicate.detach()


def is_available() -> bool:
    """Whether processes can be forked here: on Linux."""
    return sys.platform == "linux"


def start(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    streams: tuple[int, int, int],
) -> ForkedProcess:
    """Start `onionskin` with these arguments.

    Args:
        arguments: The command line behind `onionskin`.
        environment: The whole environment of the process.
        folder: Its current folder.
        streams: Descriptors of its standard input, output and error.
    """
    process = _context.Process(
        target=_run_onionskin,
        args=(list(arguments), dict(environment), str(folder), *map(_Descriptor, streams)),
    )
    process.start()
    return ForkedProcess(process, None)


def _run_onionskin(
    arguments: list[str], environment: dict[str, str], folder: str, *streams: int
) -> None:
    """Become `onionskin`: the rest of a start behind the imports."""
    assert _PRELOAD in sys.modules, "the fork server has not imported the service"
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for the process's life
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["onionskin", *arguments]
    from onionskin.service.cli.main import main  # noqa: PLC0415 - imported by the fork server

    main()
