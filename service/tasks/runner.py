"""Work after the answer: noted in the agenda, done by this process or by another, until it is done.

A job is done at least once: what it does may be done again without harm. One that fails is tried
again later by whichever worker comes first; one that fails too often is given up and listed.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Self

from onionskin.memory.cancellation import cancel_and_wait
from onionskin.memory.errors import OnionskinError, UnknownSessionError
from onionskin.memory.store.task_queue import TaskQueue
from onionskin.memory.types.tasks import ExtractTask, Task

_log = logging.getLogger("onionskin.jobs")
_RENEWALS = 3  # within the time that a job is held
_AWAY_SECONDS = 1.0


def _tell_nobody(_name: str, _outcome: str) -> None:
    """Nothing."""


def _everything(_due: Task) -> bool:
    return True


class TaskRunner:
    """Does what is due. Use `async with`; leaving it hands back what is under way.

    Args:
        run: does one job.
        agenda: where jobs are noted.
        concurrency: jobs at once; with 0, all are left to other workers.
        poll: the longest time between two looks at the agenda.
        wanted: whether there is anything to do for a job at all.
        tell: told the job's kind and how it went: `done`, `gone`, `dead`, or an error's code.

    Attributes:
        due, dead: entries of the whole agenda, and of what was given up, when last looked at.
    """

    def __init__(
        self,
        run: Callable[[Task], Awaitable[None]],
        agenda: TaskQueue,
        *,
        concurrency: int,
        poll: timedelta = timedelta(seconds=1),
        wanted: Callable[[Task], bool] = _everything,
        tell: Callable[[str, str], None] = _tell_nobody,
    ) -> None:
        self._run, self._agenda, self._wanted, self._tell = run, agenda, wanted, tell
        self._concurrency, self._poll = concurrency, poll.total_seconds()
        self._slots = asyncio.Semaphore(concurrency)
        self._tasks: dict[Task, asyncio.Task[None]] = {}
        self._again: set[Task] = set()
        self._held: set[Task] = set()
        self._notes: dict[asyncio.Task[None], Task] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._freed = asyncio.Event()
        self._drains = False
        self.due = self.dead = 0

    async def __aenter__(self) -> Self:
        if self._concurrency:
            self._keepers = [
                asyncio.create_task(self._taking(), name="jobs-taking"),
                asyncio.create_task(self._holding(), name="jobs-holding"),
            ]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.drain(timedelta())

    @property
    def waiting(self) -> int:
        """How many jobs wait or run in this process."""
        return len(self._tasks)

    def submit(self, due: Task) -> None:
        """Do it soon, here or elsewhere; what is under way already is done once more after that.

        What is to wait for quiet is done when nothing like it was submitted for so long.
        """
        if not self._wanted(due):
            return
        quiet = due.quiet if isinstance(due, ExtractTask) else 0.0
        if quiet or self._drains or not self._concurrency:
            noting = asyncio.create_task(self._note(due, quiet), name="job-note")
            self._notes[noting] = due
            noting.add_done_callback(self._notes.pop)
        elif due in self._tasks:
            self._again.add(due)
        else:
            self._start(due, taken=False)

    async def schedule(self, due: Task) -> None:
        """Note it for when a worker has time, unless it is noted already.

        Raises:
            StoreUnavailableError: Redis is away.
        """
        if self._wanted(due):
            quiet = due.quiet if isinstance(due, ExtractTask) else 0.0
            await self._agenda.schedule(due, after=quiet, reschedule=False)

    async def drain(self, within: timedelta) -> None:
        """Take nothing new, finish what is under way in the time, and hand back what is left."""
        self._drains = True
        under_way = [*self._tasks.values(), *self._notes]
        if under_way and within:
            await asyncio.wait(under_way, timeout=within.total_seconds())
        unfinished = {*self._tasks, *self._notes.values()}
        await cancel_and_wait(*self._keepers, *self._tasks.values(), *self._notes)
        self._keepers = []
        with contextlib.suppress(OnionskinError):  # then it is found when it is held no longer
            for due in unfinished | self._held:  # the answer to a `begin` may be missing
                await self._agenda.defer(due, timedelta())
            await self._agenda.schedule(*unfinished, reschedule=False)
        self._held.clear()

    def _start(self, due: Task, *, taken: bool) -> None:
        name = f"job-{type(due).__name__}"
        self._tasks[due] = asyncio.create_task(self._work(due, taken=taken), name=name)

    async def _note(self, due: Task, after: float) -> None:
        while True:
            try:
                await self._agenda.schedule(due, after=after)
            except OnionskinError:
                await asyncio.sleep(_AWAY_SECONDS)
            else:
                return

    async def _work(self, due: Task, *, taken: bool) -> None:
        try:
            while True:
                self._again.discard(due)
                try:
                    if taken or await self._agenda.claim(due):
                        self._held.add(due)
                        async with self._slots:
                            await self._settled(due)
                except OnionskinError as error:  # the agenda is away: nothing is lost, it is held
                    _log.warning("job not settled", extra={"error": error.code})
                    await asyncio.sleep(_AWAY_SECONDS)
                    self._again.add(due)
                taken = False
                if due not in self._again:
                    return
        finally:
            del self._tasks[due]
            self._freed.set()

    async def _settled(self, due: Task) -> None:
        """Do it, and say how it went."""
        kind, outcome = type(due).__name__, "done"
        try:
            await self._run(due)
        except UnknownSessionError:
            outcome = "gone"  # deleted meanwhile: nothing is due any more
        except OnionskinError as error:
            outcome = error.code
            if error.retry_after is not None:
                await self._agenda.defer(due, error.retry_after)
            elif await self._agenda.fail(due, outcome):
                _log.error("job given up", extra={"job": kind, "error": outcome})
                outcome = "dead"
        except Exception:  # noqa: BLE001 - a defect, which must not take the worker with it
            _log.exception("job failed", extra={"job": kind})
            outcome = "dead" if await self._agenda.fail(due, "internal") else "internal"
        if outcome in ("done", "gone"):
            await self._agenda.complete(due)
        elif outcome != "dead":
            _log.warning("job failed", extra={"job": kind, "error": outcome})
        self._held.discard(due)
        self._tell(kind, outcome)

    async def _taking(self) -> None:
        """Look after what others left, what is to be tried again, and what waited for quiet."""
        while not self._drains:
            self._freed.clear()
            free, full = max(0, self._concurrency - len(self._tasks)), False
            with contextlib.suppress(OnionskinError):
                found = await self._agenda.fetch(free)
                self.due, self.dead, full = found.waiting, found.dead, len(found.tasks) >= free
                for due in found.tasks:
                    if due in self._tasks:
                        self._again.add(due)
                    else:
                        self._start(due, taken=True)
            pause = self._poll * random.uniform(0.5, 1.0)  # noqa: S311
            if not full:
                await asyncio.sleep(pause)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._freed.wait()

    async def _holding(self) -> None:
        """Show that this worker lives."""
        while True:
            await asyncio.sleep(self._agenda.hold.total_seconds() / _RENEWALS)
            with contextlib.suppress(OnionskinError):
                for due in tuple(self._held):
                    await self._agenda.heartbeat(due)
