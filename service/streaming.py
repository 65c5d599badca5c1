"""Iterates over the pieces of an answer so that a disconnect does not interrupt their cleanup.

When a client disconnects, the server cancels its request, and again at every later await, so that
writes to Redis in the cleanup would fail. Each piece is therefore awaited in its own task, which is
cancelled once and then awaited. What is stored of an answer whose client left is decided in
`ConversationChain.astream`.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, TypeVar

from anyio import CancelScope

T = TypeVar("T")


async def iterate_shielded(
    pieces: AsyncGenerator[T], *, ping_seconds: float | None = None
) -> AsyncGenerator[T | None]:
    """The pieces, and None after each `ping_seconds` without one.

    Args:
        pieces: The generator; it is always closed.
        ping_seconds: Longest wait before a None; None for no limit.
    """
    try:
        while True:
            next_piece = asyncio.ensure_future(anext(pieces, None))
            try:
                while not (await asyncio.wait((next_piece,), timeout=ping_seconds))[0]:
                    yield None
            finally:
                if not next_piece.done():
                    next_piece.cancel()
                    await _shielded(next_piece)
            piece = next_piece.result()
            if piece is None:
                return
            yield piece
    finally:
        await _shielded(asyncio.ensure_future(pieces.aclose()))


async def _shielded(work: asyncio.Future[Any]) -> None:
    """Wait for the end of the work even if the request is cancelled, also by the server itself.

    Raises:
        CancelledError: The server cancelled the request; the work has ended nevertheless.
    """
    cancellation: asyncio.CancelledError | None = None
    while not work.done():
        try:
            with CancelScope(shield=True):
                await asyncio.wait((work,))
        except asyncio.CancelledError as error:
            cancellation = error
    if cancellation:
        raise cancellation
