"""Work after the answer, in this process: deduplicated, bounded, tried again with backoff.

Nothing here need survive: what is due is read from Redis when a job runs, and a sweep at the start
finds what a killed worker left.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self

from memory.due import Due, ExtractDue
from memory.errors import StrataError, UnknownSessionError

_log = logging.getLogger("strata.jobs")


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a failed job waits: doubled each time, jittered, bounded.

    Attributes:
        first, longest: seconds.
        attempts: after so many the job is given up until it is due again.
    """

    first: float = 1.0
    longest: float = 60.0
    attempts: int = 10

    def pause(self, failures: int) -> float:
        """Seconds to wait after `failures` failures."""
        return min(self.first * 2 ** (failures - 1), self.longest) * random.uniform(0.5, 1.0)  # noqa: S311


def _tell_nobody(_name: str, _outcome: str) -> None:
    """Nothing."""


class Jobs:
    """Runs what is due. Use `async with`; leaving it cancels what is under way.

    Args:
        run: does one job.
        concurrency: jobs at once.
        backoff: between the tries of one job.
        tell: told the job's kind and how it went: `done`, `gone`, or an error's code.
    """

    def __init__(
        self,
        run: Callable[[Due], Awaitable[None]],
        *,
        concurrency: int,
        backoff: Backoff | None = None,
        tell: Callable[[str, str], None] | None = None,
    ) -> None:
        self._tell = tell or _tell_nobody
        self._run, self._backoff = run, backoff or Backoff()
        self._slots = asyncio.Semaphore(concurrency)
        self._tasks: dict[Due, asyncio.Task[None]] = {}
        self._again: set[Due] = set()
        self._timers: dict[Due, asyncio.TimerHandle] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for timer in self._timers.values():
            timer.cancel()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def submit(self, due: Due) -> None:
        """Do it soon; what is under way already is done once more after that.

        What is to wait for quiet is done when nothing like it was submitted for so long.
        """
        if timer := self._timers.pop(due, None):
            timer.cancel()
        if isinstance(due, ExtractDue) and due.quiet:
            loop = asyncio.get_running_loop()
            self._timers[due] = loop.call_later(due.quiet, self._now, due)
        else:
            self._now(due)

    def _now(self, due: Due) -> None:
        self._timers.pop(due, None)
        if due in self._tasks:
            self._again.add(due)
            return
        self._tasks[due] = asyncio.create_task(self._work(due), name=f"job-{type(due).__name__}")

    @property
    def waiting(self) -> int:
        """How many jobs wait or run."""
        return len(self._tasks)

    async def _work(self, due: Due) -> None:
        try:
            failures = 0
            while True:
                self._again.discard(due)
                failures = failures + 1 if await self._failed(due) else 0
                if failures >= self._backoff.attempts or not (failures or due in self._again):
                    return
                if failures:
                    await asyncio.sleep(self._backoff.pause(failures))
        finally:
            del self._tasks[due]

    async def _failed(self, due: Due) -> bool:
        async with self._slots:
            try:
                await self._run(due)
            except UnknownSessionError:
                self._tell(type(due).__name__, "gone")
                return False  # deleted meanwhile: nothing is due any more
            except StrataError as error:
                kind = type(due).__name__
                _log.warning("job failed", extra={"job": kind, "error": error.code})
                self._tell(kind, error.code)
                return True
            self._tell(type(due).__name__, "done")
            return False
