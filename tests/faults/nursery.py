"""A process that has imported the service, and forks workers: each begins at once.

Reads lines of JSON, `{"environment": {...}, "arguments": [...], "out": path, "log": path}`, and
prints the process id of each worker. Workers run `onionskin` as the command line does.
"""

import ctypes
import json
import os
import signal
import sys
from typing import Any

import langchain_openai

from onionskin.service.cli import main as cli
from onionskin.service.server import run as serve

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def _become_worker(order: dict[str, Any]) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    os.environ.clear()
    os.environ.update(order["environment"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(order["out"], os.O_WRONLY | os.O_CREAT), 1)
    os.dup2(os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    sys.argv = ["onionskin", *order["arguments"]]
    cli.main()


def main() -> None:
    """Fork until there are no more orders."""
    assert langchain_openai
    assert serve
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the dead
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _become_worker(json.loads(line))
            os._exit(0)
        print(child, flush=True)


if __name__ == "__main__":
    main()
