"""Reliable cancellation of asyncio tasks."""

import asyncio
from typing import Any

_RETRY_SECONDS = 0.1


async def cancel_and_wait(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until all are done; their exceptions are discarded.

    Tasks are cancelled repeatedly: on Python 3.11 `asyncio.wait_for`, which redis-py uses to send
    commands, loses a cancellation that arrives while the command is sent.
    """
    waiting = set(tasks)
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=_RETRY_SECONDS)
    for task in tasks:
        if not task.cancelled():
            task.exception()
