"""What goes on beside requests: jobs after answers, and sweeping."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from onionskin.memory.cancellation import cancel_and_wait
from onionskin.memory.store.task_queue import Backoff, TaskQueue
from onionskin.service.observability.metrics import Metrics
from onionskin.service.settings import Settings
from onionskin.service.tasks.handlers import TaskHandlers
from onionskin.service.tasks.runner import TaskRunner
from onionskin.service.tasks.sweeper import Sweeper


@asynccontextmanager
async def start_tasks(
    work: TaskHandlers,
    settings: Settings,
    *,
    telemetry: Metrics,
    clock: Callable[[], float],
    runs_tasks: bool | None = None,
) -> AsyncGenerator[TaskRunner]:
    """Do jobs and sweep, or note jobs for workers that do.

    Args:
        work: does one job.
        settings: see `Settings`.
        telemetry: told how jobs go.
        clock: seconds since the epoch.
        runs_tasks: whether jobs are done here; as the settings say if None.
    """
    here = settings.jobs == "here" if runs_tasks is None else runs_tasks
    agenda = TaskQueue(
        work.store.connection,
        hold=settings.job_hold,
        backoff=Backoff(attempts=settings.job_attempts),
    )
    async with TaskRunner(
        work.run,
        agenda,
        concurrency=settings.fold_concurrency if here else 0,
        wanted=work.should_run,
        tell=telemetry.job,
    ) as jobs:
        telemetry.watch("onionskin_jobs_waiting", "Jobs that wait or run.", lambda: jobs.waiting)
        if not here:
            yield jobs
            return
        telemetry.watch("onionskin_jobs_due", "Jobs of all processes.", lambda: jobs.due)
        telemetry.watch("onionskin_jobs_dead", "Jobs that were given up.", lambda: jobs.dead)
        sweeper = Sweeper(
            work.store,
            work.profiles,
            jobs,
            default_profile=settings.profile,
            close_after=settings.close_after,
            clock=clock,
            fills=work.outside is not None,
        )
        sweeping = asyncio.create_task(sweeper.run(), name="sweep")
        try:
            yield jobs
        finally:
            await cancel_and_wait(sweeping)
