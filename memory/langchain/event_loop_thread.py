"""Runs coroutines on the event loop that owns Onionskin's connections, from any thread or loop.

The synchronous methods of the LangChain classes use it to call the asynchronous ones.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar, cast

from onionskin.memory.errors import InvalidInputError

T = TypeVar("T")


class EventLoopThread:
    """Access to a running event loop.

    Args:
        loop: The loop that runs the coroutines; it runs in some thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def run_blocking(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop, and block this thread until it ends.

        Raises:
            InvalidInputError: This is the loop's own thread, which would deadlock.
        """
        if _running() is self._loop:
            coroutine.close()
            raise InvalidInputError(
                "A synchronous call on the event loop of Onionskin's connections would "
                "deadlock. Await the asynchronous method (`ainvoke`, `aget_messages`, ...), or "
                "open Onionskin in a thread: `with onionskin_in_thread(...)`."
            )
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop, and await it from the current loop."""
        if _running() is self._loop:
            return await coroutine
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))

    def iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        """Iterate in this thread over an asynchronous iterator that runs on the loop."""
        try:
            while (item := self.run_blocking(_next(items))) is not None:
                yield item[0]
        finally:
            self.run_blocking(_close(items))

    async def iterate_async(self, items: AsyncIterator[T]) -> AsyncIterator[T]:
        """Iterate on the current loop over an asynchronous iterator that runs on the other loop."""
        try:
            while (item := await self.run(_next(items))) is not None:
                yield item[0]
        finally:
            await self.run(_close(items))


async def _next(items: AsyncIterator[T]) -> tuple[T] | None:
    try:
        return (await anext(items),)
    except StopAsyncIteration:
        return None


async def _close(items: AsyncIterator[Any]) -> None:
    if isinstance(items, AsyncGenerator):
        await cast("AsyncGenerator[Any]", items).aclose()


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
