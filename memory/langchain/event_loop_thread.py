"""From any thread and any event loop to the one loop that Onionskin's connections live on.

LangChain's classes have a synchronous and an asynchronous face; all of the former go through here.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar, cast

from onionskin.memory.errors import InvalidInputError

T = TypeVar("T")


class EventLoopThread:
    """The way to an event loop.

    Args:
        loop: on which what is asked for runs, and which runs itself in some thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def run_blocking(self, asked: Coroutine[Any, Any, T]) -> T:
        """Run something there, and wait in this thread.

        Raises:
            InvalidInputError: this is the loop's own thread, which would wait for itself.
        """
        if _running() is self._loop:
            asked.close()
            raise InvalidInputError(
                "A synchronous call on the event loop of Onionskin's connections would wait for "
                "itself. Await the asynchronous method (`ainvoke`, `aget_messages`, ...), or open "
                "Onionskin in a thread: `with onionskin_in_thread(...)`."
            )
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result()

    async def run(self, asked: Coroutine[Any, Any, T]) -> T:
        """Run something there, and await it on this loop."""
        if _running() is self._loop:
            return await asked
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asked, self._loop))

    def iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        """What an asynchronous iterator yields there, in this thread; closed when this is."""
        try:
            while (one := self.run_blocking(_following(items))) is not None:
                yield one[0]
        finally:
            self.run_blocking(_closed(items))

    async def iterate_async(self, items: AsyncIterator[T]) -> AsyncIterator[T]:
        """What an asynchronous iterator yields there, on this loop; closed when this is."""
        try:
            while (one := await self.run(_following(items))) is not None:
                yield one[0]
        finally:
            await self.run(_closed(items))


async def _following(items: AsyncIterator[T]) -> tuple[T] | None:
    try:
        return (await anext(items),)
    except StopAsyncIteration:
        return None


async def _closed(items: AsyncIterator[Any]) -> None:
    if isinstance(items, AsyncGenerator):
        await cast("AsyncGenerator[Any]", items).aclose()


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
