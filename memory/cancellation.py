"""Ending tasks for certain."""

import asyncio
from typing import Any

_AGAIN_SECONDS = 0.1


async def cancel_and_wait(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks until all are done; what they raised is not told.

    Once is not enough: on Python 3.11 `asyncio.wait_for`, which redis-py sends commands by, passes
    over a cancellation that comes as the command is sent.
    """
    waiting = set(tasks)
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=_AGAIN_SECONDS)
    for task in tasks:
        if not task.cancelled():
            task.exception()
