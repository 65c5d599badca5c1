"""Drawing the pieces of an answer, so that a client who hangs up does not cut its end short.

When a client goes, the server cancels its request, and again at every await: what should still be
told to Redis would never arrive. So each piece is awaited in a task of its own, which is cancelled
once and then waited for.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from typing import TypeVar

from anyio import CancelScope

T = TypeVar("T")


async def iterate_shielded(
    pieces: AsyncGenerator[T], *, ping_seconds: float | None = None
) -> AsyncGenerator[T | None]:
    """The pieces, and None whenever none came for a while.

    Args:
        pieces: closed in the end, whatever ends it.
        ping_seconds: how long a while is; None for no end of it.
    """
    try:
        while True:
            coming = asyncio.ensure_future(anext(pieces, None))
            try:
                while not (await asyncio.wait((coming,), timeout=ping_seconds))[0]:
                    yield None
            finally:
                if not coming.done():
                    coming.cancel()
                    await _undisturbed(asyncio.wait((coming,)))
            piece = coming.result()
            if piece is None:
                return
            yield piece
    finally:
        await _undisturbed(asyncio.wait((asyncio.ensure_future(pieces.aclose()),)))


async def _undisturbed(ending: Awaitable[object]) -> None:
    """Await it, whether or not the request is cancelled."""
    with CancelScope(shield=True):
        await ending
