"""Starts background work: the task runner and the sweeper."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from onionskin.memory.cancellation import cancel_and_wait
from onionskin.memory.store import Backoff
from onionskin.service.observability.metrics import Metrics
from onionskin.service.settings import Settings
from onionskin.service.tasks.handlers import TaskHandlers
from onionskin.service.tasks.runner import TaskRunner
from onionskin.service.tasks.sweeper import Sweeper


@asynccontextmanager
async def start_tasks(
    handlers: TaskHandlers,
    settings: Settings,
    *,
    metrics: Metrics,
    clock: Callable[[], float],
    runs_tasks: bool | None = None,
) -> AsyncGenerator[TaskRunner]:
    """The task runner; where tasks run here, the sweeper runs too, until exit.

    Args:
        handlers: Run one task.
        settings: See `Settings`.
        metrics: Counts tasks.
        clock: Seconds since the epoch.
        runs_tasks: Whether tasks run in this process; None for what the settings say.
    """
    here = settings.jobs == "here" if runs_tasks is None else runs_tasks
    queue = handlers.store.task_queue(
        lock_timeout=settings.job_hold, backoff=Backoff(attempts=settings.job_attempts)
    )
    async with TaskRunner(
        handlers.run,
        queue,
        concurrency=settings.fold_concurrency if here else 0,
        should_run=handlers.should_run,
        on_finished=metrics.job,
    ) as tasks:
        metrics.watch("onionskin_jobs_waiting", "Tasks that wait or run.", lambda: tasks.waiting)
        if not here:
            yield tasks
            return
        metrics.watch("onionskin_jobs_due", "Tasks of all processes.", lambda: tasks.due)
        metrics.watch("onionskin_jobs_dead", "Tasks that failed too often.", lambda: tasks.dead)
        sweeper = Sweeper(
            handlers.store,
            handlers.memories,
            tasks,
            default_profile=settings.profile,
            close_after=settings.close_after,
            clock=clock,
            has_vector_database=handlers.vector_database is not None,
        )
        metrics.watch(
            "onionskin_damaged", "Sessions that the last sweep skipped.", lambda: sweeper.damaged
        )
        sweeping = asyncio.create_task(sweeper.run(), name="sweep")
        try:
            yield tasks
        finally:
            await cancel_and_wait(sweeping)
