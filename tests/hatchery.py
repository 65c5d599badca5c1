"""A process that has imported the service, and forks: each service that tests start begins at once.

Each order is a packet on the socket named on the command line: JSON, `{"arguments": [...],
"environment": {...}, "folder": path}`, and three descriptors: where the process id is told and in
the end how it ended, standard output and standard error. What is forked is `onionskin` as the command
line runs it, with the imports of `onionskin serve` behind it.
"""

import gc
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from types import FrameType
from typing import Any

import onionskin.chains.models.openai
from onionskin.service.cli import main as cli
from onionskin.service.server import run as serve

_LARGEST_ORDER = 1 << 17


def _becomes_onionskin(order: dict[str, Any], output: int, errors: int) -> None:
    """What is left of a start once the imports are done."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for descriptor, standard in ((output, 1), (errors, 2)):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    sys.argv = ["onionskin", *order["arguments"]]
    cli.main()


def _tell_the_ended(told: dict[int, socket.socket]) -> None:
    while told:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with told.pop(pid) as one, suppress(BrokenPipeError, ConnectionResetError):
            one.send(str(os.waitstatus_to_exitcode(status)).encode())


def _ended(_signal: int, _frame: FrameType | None) -> None:
    """Nothing: what the signal writes to the pipe is enough."""


def main() -> None:
    """Fork until there are no more orders."""
    assert onionskin.chains.models.openai
    assert serve
    orders = socket.socket(fileno=int(sys.argv[1]))
    woken, waking = os.pipe()
    for end in (woken, waking):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _ended)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C on the tests is theirs
    told: dict[int, socket.socket] = {}
    gc.collect()
    gc.freeze()
    while True:
        ready, _, _ = select.select([orders, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _tell_the_ended(told)
        if orders not in ready:
            continue
        order, descriptors, _, _ = socket.recv_fds(orders, _LARGEST_ORDER, 3)
        if not order:
            return
        teller, output, errors = descriptors
        child = os.fork()
        if not child:
            signal.set_wakeup_fd(-1)
            for one in (orders, *told.values()):
                one.close()
            for descriptor in (woken, waking, teller):
                os.close(descriptor)
            _becomes_onionskin(json.loads(order), output, errors)
            return
        os.close(output)
        os.close(errors)
        told[child] = socket.socket(fileno=teller)
        told[child].send(str(child).encode())


if __name__ == "__main__":
    main()
