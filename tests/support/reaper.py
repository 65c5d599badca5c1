"""Ends what a test process leaves behind, however that process ends; a program of its own.

It waits on a pipe whose other end only the test process holds. At end of file it stops every
process whose environment has the run's mark or whose folder lies below the run's temporary folder:
Valkey overwrites its environment, and changes into its data folder.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

MARK = "PYTEST_RUN_MARK"
"""The environment variable that a test process and its children share."""
_GRACE_SECONDS = 2.0


@contextmanager
def reaping(mark: str, folder: Path) -> Generator[None]:
    """While open, the end of this process is the end of all processes that it started.

    Args:
        mark: Value of `MARK` in the environment of this process and its children.
        folder: Temporary folder of the run.
    """
    with subprocess.Popen(
        [sys.executable, "-S", "-E", __file__, mark, str(folder)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        yield
        assert process.stdin
        process.stdin.close()
        process.wait()


def left_over(mark: str, folder: str) -> Iterator[int]:
    """Process ids that belong to the run."""
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            process = Path(entry.path)
            is_marked = f"{MARK}={mark}".encode() in (process / "environ").read_bytes().split(b"\0")
            if is_marked or folder in map(str, (process / "cwd").readlink().parents):
                yield int(entry.name)


def main() -> None:
    """Wait for the end of the test process, then stop the rest of its run."""
    mark, folder = sys.argv[1:]
    for ignored in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    sys.stdin.buffer.read()
    for number in (signal.SIGTERM, signal.SIGCONT, signal.SIGKILL):
        for pid in left_over(mark, folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + _GRACE_SECONDS
        while number == signal.SIGCONT and time.monotonic() < deadline:
            if not any(left_over(mark, folder)):
                return
            time.sleep(0.05)


if __name__ == "__main__":
    main()
