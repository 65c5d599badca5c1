"""Waiting for what other processes do."""

import time
from collections.abc import Callable


def until(holds: Callable[[], object], *, within: float = 60.0) -> None:
    """Ask every 10 ms until `holds()`; fails after `within` seconds."""
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, f"not within {within} s"
        time.sleep(0.01)
