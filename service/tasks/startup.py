"""What goes on beside requests: jobs after answers, and sweeping."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from onionskin.memory.cancellation import end
from onionskin.memory.store.task_queue import Agenda, Backoff
from onionskin.service.observability.metrics import Telemetry
from onionskin.service.settings import Settings
from onionskin.service.tasks.handlers import Work
from onionskin.service.tasks.runner import Jobs
from onionskin.service.tasks.sweeper import Sweeper


@asynccontextmanager
async def open_jobs(
    work: Work,
    settings: Settings,
    *,
    telemetry: Telemetry,
    clock: Callable[[], float],
    at_work: bool | None = None,
) -> AsyncGenerator[Jobs]:
    """Do jobs and sweep, or note jobs for workers that do.

    Args:
        work: does one job.
        settings: see `Settings`.
        telemetry: told how jobs go.
        clock: seconds since the epoch.
        at_work: whether jobs are done here; as the settings say if None.
    """
    here = settings.jobs == "here" if at_work is None else at_work
    agenda = Agenda(
        work.store.connection,
        hold=settings.job_hold,
        backoff=Backoff(attempts=settings.job_attempts),
    )
    async with Jobs(
        work.run,
        agenda,
        concurrency=settings.fold_concurrency if here else 0,
        wanted=work.wanted,
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
            await end(sweeping)
