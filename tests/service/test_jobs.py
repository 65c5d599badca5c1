"""Jobs after the answer: once, again when due again, with backoff, and never for ever."""

import asyncio

from memory.due import Due, EmbedDue
from memory.errors import StoreUnavailableError, UnknownSessionError
from memory.types import User
from service.jobs import Backoff, Jobs
from tests.conftest import eventually

_QUICK = Backoff(first=0.001, longest=0.002, attempts=4)
_DUE = EmbedDue(User("alice"))


async def test_a_job_that_is_submitted_while_it_runs_runs_once_more() -> None:
    ran = 0
    release = asyncio.Event()

    async def run(_: Due) -> None:
        nonlocal ran
        ran += 1
        await release.wait()

    async with Jobs(run, concurrency=2) as jobs:
        jobs.submit(_DUE)
        await eventually(lambda: ran == 1)
        for _ in range(5):
            jobs.submit(_DUE)
        release.set()
        await eventually(lambda: jobs.waiting == 0)
    assert ran == 2


async def test_a_failing_job_is_tried_again_until_it_works() -> None:
    tries = 0

    async def run(_: Due) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise StoreUnavailableError("away")

    async with Jobs(run, concurrency=1, backoff=_QUICK) as jobs:
        jobs.submit(_DUE)
        await eventually(lambda: jobs.waiting == 0)
    assert tries == 3


async def test_a_job_is_given_up_in_the_end_and_at_once_where_nothing_is_due() -> None:
    tries = {"away": 0, "gone": 0}

    async def run(due: Due) -> None:
        tries[due.user.id] += 1
        if due.user.id == "gone":
            raise UnknownSessionError("s_1")
        raise StoreUnavailableError("away")

    async with Jobs(run, concurrency=2, backoff=_QUICK) as jobs:
        for name in tries:
            jobs.submit(EmbedDue(User(name)))
        await eventually(lambda: jobs.waiting == 0)
    assert tries == {"away": 4, "gone": 1}


async def test_no_more_jobs_run_at_once_than_allowed_and_leaving_cancels_them() -> None:
    running = most = 0

    async def run(_: Due) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            await asyncio.sleep(0.01)
        finally:
            running -= 1

    async with Jobs(run, concurrency=3) as jobs:
        for number in range(12):
            jobs.submit(EmbedDue(User(f"user-{number}")))
        await eventually(lambda: most == 3)
    assert running == 0
    assert most == 3


def test_the_pause_grows_and_is_bounded() -> None:
    backoff = Backoff(first=1.0, longest=8.0)
    for failures, most in ((1, 1.0), (2, 2.0), (4, 8.0), (30, 8.0)):
        pauses = [backoff.pause(failures) for _ in range(50)]
        assert most / 2 <= min(pauses) <= max(pauses) <= most
