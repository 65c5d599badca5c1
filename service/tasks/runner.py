"""Runs background tasks from the queue, in this process or in a worker.

Delivery is at least once, so tasks are idempotent. A failed task is retried later by any worker; a
task that fails too often is dead, and is listed by `onionskin jobs`.
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
from onionskin.memory.store import TaskQueue, kind_of
from onionskin.memory.types.tasks import ExtractTask, Task

_log = logging.getLogger("onionskin.jobs")
_HEARTBEATS = 3  # per lock timeout
_RETRY_SECONDS = 1.0


def _ignore(_kind: str, _outcome: str) -> None:
    """Ignore the outcome of a task."""


def _always(_task: Task) -> bool:
    return True


class TaskRunner:
    """Runs tasks. Use `async with`; on exit, running tasks go back to the queue.

    Args:
        run: Runs one task.
        queue: The queue of all processes.
        concurrency: Tasks that run at once; with 0, other workers run all of them.
        poll: Longest pause between two reads of the queue.
        should_run: Whether there is anything to do for a task; others are dropped.
        on_finished: Gets the task's kind and outcome: `done`, `gone`, `dead`, or an error's code.

    Attributes:
        due: Queued tasks of all processes, when last read.
        dead: Dead tasks of all processes, when last read.
    """

    def __init__(
        self,
        run: Callable[[Task], Awaitable[None]],
        queue: TaskQueue,
        *,
        concurrency: int,
        poll: timedelta = timedelta(seconds=1),
        should_run: Callable[[Task], bool] = _always,
        on_finished: Callable[[str, str], None] = _ignore,
    ) -> None:
        self._run, self._queue = run, queue
        self._should_run, self._on_finished = should_run, on_finished
        self._concurrency, self._poll = concurrency, poll.total_seconds()
        self._slots = asyncio.Semaphore(concurrency)
        self._tasks: dict[Task, asyncio.Task[None]] = {}
        self._rerun: set[Task] = set()
        self._claimed: set[Task] = set()
        self._scheduling: dict[asyncio.Task[None], Task] = {}
        self._loops: list[asyncio.Task[None]] = []
        self._freed = asyncio.Event()
        self._draining = False
        self.due = self.dead = 0

    async def __aenter__(self) -> Self:
        if self._concurrency:
            self._loops = [
                asyncio.create_task(self._fetch_loop(), name="tasks-fetch"),
                asyncio.create_task(self._heartbeat_loop(), name="tasks-heartbeat"),
            ]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.drain(timedelta())

    @property
    def waiting(self) -> int:
        """Number of tasks that wait or run in this process."""
        return len(self._tasks)

    def submit(self, task: Task) -> None:
        """Run a task soon, here or in another process; returns at once.

        A task that is running already runs once more afterwards. A task with a quiet time is
        postponed by each equal task that is submitted.
        """
        if not self._should_run(task):
            return
        quiet = task.quiet if isinstance(task, ExtractTask) else 0.0
        if quiet or self._draining or not self._concurrency:
            scheduling = asyncio.create_task(self._schedule(task, quiet), name="task-schedule")
            self._scheduling[scheduling] = task
            scheduling.add_done_callback(self._scheduling.pop)
        elif task in self._tasks:
            self._rerun.add(task)
        else:
            self._start(task, claimed=False)

    async def schedule(self, task: Task) -> None:
        """Queue a task for any worker, unless it is queued already.

        Raises:
            StoreUnavailableError: Redis cannot be reached.
        """
        if self._should_run(task):
            quiet = task.quiet if isinstance(task, ExtractTask) else 0.0
            await self._queue.schedule(task, after=quiet, reschedule=False)

    async def drain(self, grace: timedelta) -> None:
        """Fetch nothing new, wait `grace` for running tasks, put unfinished ones back."""
        self._draining = True
        running = [*self._tasks.values(), *self._scheduling]
        if running and grace:
            await asyncio.wait(running, timeout=grace.total_seconds())
        unfinished = {*self._tasks, *self._scheduling.values()}
        await cancel_and_wait(*self._loops, *self._tasks.values(), *self._scheduling)
        self._loops = []
        with contextlib.suppress(OnionskinError):  # else a worker claims it after the lock timeout
            for task in unfinished | self._claimed:  # a claim may have lost its reply
                await self._queue.defer(task, timedelta())
            await self._queue.schedule(*unfinished, reschedule=False)
        self._claimed.clear()

    def _start(self, task: Task, *, claimed: bool) -> None:
        name = f"task-{kind_of(task)}"
        self._tasks[task] = asyncio.create_task(self._work(task, claimed=claimed), name=name)

    async def _schedule(self, task: Task, after: float) -> None:
        while True:
            try:
                await self._queue.schedule(task, after=after)
            except OnionskinError:
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return

    async def _work(self, task: Task, *, claimed: bool) -> None:
        try:
            while True:
                self._rerun.discard(task)
                try:
                    if claimed or await self._queue.claim(task):
                        self._claimed.add(task)
                        async with self._slots:
                            await self._run_and_finish(task)
                except OnionskinError as error:  # Redis is away; the task is still claimed
                    _log.warning("job outcome not stored", extra={"error": error.code})
                    await asyncio.sleep(_RETRY_SECONDS)
                    self._rerun.add(task)
                claimed = False
                if task not in self._rerun:
                    return
        finally:
            del self._tasks[task]
            self._freed.set()

    async def _run_and_finish(self, task: Task) -> None:
        """Run a claimed task and record its outcome."""
        kind, outcome = kind_of(task), "done"
        try:
            await self._run(task)
        except UnknownSessionError:
            outcome = "gone"  # the session was deleted
        except OnionskinError as error:
            outcome = error.code
            if error.retry_after is not None:
                await self._queue.defer(task, error.retry_after)
            elif await self._queue.fail(task, outcome):
                _log.error("job is dead", extra={"job": kind, "error": outcome})
                outcome = "dead"
        except Exception:  # noqa: BLE001 - a defect must not stop the worker
            _log.exception("job failed", extra={"job": kind})
            outcome = "dead" if await self._queue.fail(task, "internal") else "internal"
        if outcome in ("done", "gone"):
            await self._queue.complete(task)
        elif outcome != "dead":
            _log.warning("job failed", extra={"job": kind, "error": outcome})
        self._claimed.discard(task)
        self._on_finished(kind, outcome)

    async def _fetch_loop(self) -> None:
        """Fetch queued tasks: abandoned ones, retries, and those whose quiet time is over."""
        while not self._draining:
            self._freed.clear()
            free, full = max(0, self._concurrency - len(self._tasks)), False
            with contextlib.suppress(OnionskinError):
                batch = await self._queue.fetch(free)
                self.due, self.dead, full = batch.waiting, batch.dead, len(batch.tasks) >= free
                for task in batch.tasks:
                    if task in self._tasks:
                        self._rerun.add(task)
                    else:
                        self._start(task, claimed=True)
            pause = self._poll * random.uniform(0.5, 1.0)  # noqa: S311
            if not full:
                await asyncio.sleep(pause)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._freed.wait()

    async def _heartbeat_loop(self) -> None:
        """Renew the locks of claimed tasks."""
        while True:
            await asyncio.sleep(self._queue.lock_timeout.total_seconds() / _HEARTBEATS)
            with contextlib.suppress(OnionskinError):
                for task in tuple(self._claimed):
                    await self._queue.heartbeat(task)
