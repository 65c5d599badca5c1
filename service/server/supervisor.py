"""A small supervisor for demonstrations: a service killed with SIGKILL is started again."""

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
    """Serve with `ONIONSKIN_DEMO` on a folder, on this machine alone, until SIGINT or SIGTERM.

    Args:
        folder: for the embedded Redis.
        port: to listen on; 0 for any, which then stays.

    Raises:
        SupervisedError: the service ended otherwise than by SIGKILL.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(highlight=False)
    try:
        while True:
            port, ended = _serve(folder, port, console)
            if ended != -signal.SIGKILL:
                raise SupervisedError(f"The service ended (exit {ended}); its reason stands above.")
            console.print("[bold]killed[/] (SIGKILL): starting it again")
    except KeyboardInterrupt:
        console.print("Stopped.")


def _serve(folder: Path, port: int, console: Console) -> tuple[int, int]:
    """Serve once: the port, and how it ended."""
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
                start_new_session=True,  # Ctrl-C in a terminal reaches it through this process
            )
        )
        stack.callback(_stop, process)
        for line in process.stdout or ():
            console.print(line.rstrip(), markup=False, soft_wrap=True)
            if found := re.search(r"http://\S+:(\d+)", line):
                port = int(found[1])
        return port, process.wait()


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        process.wait(_STOP_SECONDS)


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt
