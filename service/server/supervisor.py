"""Supervisor of demonstrations: restarts a service that was killed with SIGKILL."""

import os
import re
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from rich.console import Console

from onionskin.memory.errors import OnionskinError

_HIDDEN = ("ONIONSKIN_REDIS_URL", "ONIONSKIN_HOST", "ONIONSKIN_PORT", "ONIONSKIN_DATA_DIR")
_STOP_SECONDS = 60.0


class SupervisedError(OnionskinError):
    """The service ended by itself."""

    code = "supervised"


def supervise(folder: Path, *, port: int) -> None:
    """Serve a folder with `ONIONSKIN_DEMO` on localhost until SIGINT or SIGTERM.

    Args:
        folder: Data folder of the embedded Redis.
        port: Port to listen on; 0 for a free one, kept over restarts.

    Raises:
        SupervisedError: The service ended in another way than by SIGKILL.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(highlight=False)
    try:
        while True:
            port, exit_code = _serve(folder, port, console)
            if exit_code != -signal.SIGKILL:
                raise SupervisedError(
                    f"The service ended (exit {exit_code}); see its output above."
                )
            console.print("[bold]killed[/] (SIGKILL): restarting")
    except KeyboardInterrupt:
        console.print("Stopped.")


def _serve(folder: Path, port: int, console: Console) -> tuple[int, int]:
    """Serve once; returns the port and the exit code."""
    command = [sys.executable, "-P", "-m", "onionskin.service", "serve"]
    command += ["--port", str(port), "--data-dir", str(folder)]
    environment = {name: value for name, value in os.environ.items() if name not in _HIDDEN}
    with ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(  # noqa: S603 - our own command
                command,
                stdout=subprocess.PIPE,
                text=True,
                env=environment | {"ONIONSKIN_DEMO": "true"},
                start_new_session=True,  # this process forwards Ctrl-C
            )
        )
        stack.callback(_stop, process)
        for line in process.stdout or ():
            console.print(line.rstrip(), markup=False, soft_wrap=True)
            if address := re.search(r"http://\S+:(\d+)", line):
                port = int(address[1])
        return port, process.wait()


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        process.wait(_STOP_SECONDS)


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt
