"""Tasks after the answer: at least once, again when due again, with backoff and a limit."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from onionskin.memory.errors import OnionskinError, TaskRunningError, UnknownSessionError
from onionskin.memory.store import Backoff, Connection, TaskQueue
from onionskin.memory.types.messages import User
from onionskin.memory.types.tasks import EmbedTask, ExtractTask, Task
from onionskin.service.tasks.runner import TaskRunner
from tests.conftest import RedisClient, eventually

_QUICK = Backoff(first=0.001, longest=0.002, attempts=4)
_POLL = timedelta(milliseconds=5)
_DUE = EmbedTask(User("alice"))
_LONG = timedelta(seconds=30)


@pytest.fixture
def agenda_of(connection: Connection) -> Callable[..., TaskQueue]:
    """The agenda as a worker of its own has it."""

    def make(hold: timedelta = timedelta(seconds=30), backoff: Backoff = _QUICK) -> TaskQueue:
        return TaskQueue(connection, lock_timeout=hold, backoff=backoff)

    return make


async def _is_empty(redis: RedisClient) -> bool:
    return not [key async for key in redis.scan_iter("onionskin:{due}:*")]


async def test_a_job_that_is_submitted_while_it_runs_runs_once_more(
    agenda_of: Callable[..., TaskQueue], redis: RedisClient
) -> None:
    ran = 0
    release = asyncio.Event()

    async def run(_: Task) -> None:
        nonlocal ran
        ran += 1
        await release.wait()

    async with TaskRunner(run, agenda_of(), concurrency=2) as jobs:
        jobs.submit(_DUE)
        await eventually(lambda: ran == 1)
        for _ in range(5):
            jobs.submit(_DUE)
        release.set()
        await eventually(lambda: jobs.waiting == 0)
    assert ran == 2
    assert await _is_empty(redis)


async def test_a_job_that_becomes_due_during_its_second_attempt_runs_once_more(
    agenda_of: Callable[..., TaskQueue], redis: RedisClient
) -> None:
    tries = 0
    begun, release = asyncio.Event(), asyncio.Event()

    async def run(_: Task) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise OnionskinError("no")
        if tries == 2:
            begun.set()
            await release.wait()

    hold = timedelta(milliseconds=300)
    async with TaskRunner(run, agenda_of(hold), concurrency=1, poll=_POLL) as jobs:
        jobs.submit(_DUE)
        await begun.wait()
        await agenda_of(hold).schedule(_DUE, after=0.01)
        release.set()
        await eventually(lambda: tries == 3)
        await eventually(lambda: jobs.waiting == 0)
    assert await _is_empty(redis)


@pytest.mark.parametrize("error", [OnionskinError("no"), ValueError("a defect")])
async def test_a_failing_job_is_tried_again_until_it_works(
    agenda_of: Callable[..., TaskQueue], redis: RedisClient, error: Exception
) -> None:
    tries = 0
    outcomes: list[str] = []

    async def run(_: Task) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise error

    def tell(_: str, outcome: str) -> None:
        outcomes.append(outcome)

    async with TaskRunner(run, agenda_of(), concurrency=1, poll=_POLL, on_finished=tell) as jobs:
        jobs.submit(_DUE)
        await eventually(lambda: len(outcomes) == 3)
    assert outcomes == ["internal", "internal", "done"]
    assert await _is_empty(redis)


async def test_a_job_is_given_up_in_the_end_and_listed_until_it_is_done(
    agenda_of: Callable[..., TaskQueue], connection: Connection, redis: RedisClient
) -> None:
    tries = {"bad": 0, "gone": 0}
    outcomes: list[str] = []
    mended = False

    async def run(due: Task) -> None:
        tries[due.user.id] += 1
        if due.user.id == "gone":
            raise UnknownSessionError("s_1")
        if not mended:
            raise OnionskinError("no")

    def tell(_: str, outcome: str) -> None:
        outcomes.append(outcome)

    async with TaskRunner(run, agenda_of(), concurrency=2, poll=_POLL, on_finished=tell) as jobs:
        for name in tries:
            jobs.submit(EmbedTask(User(name)))
        await eventually(lambda: "dead" in outcomes)
        assert tries == {"bad": 4, "gone": 1}
        await eventually(lambda: jobs.dead == 1)
        (given_up,) = await TaskQueue(connection).dead()
        assert (given_up.task, given_up.failures) == (EmbedTask(User("bad")), 4)
        assert given_up.error == "internal"

        jobs.submit(EmbedTask(User("bad")))  # due again: tried once, and given up again
        await eventually(lambda: outcomes.count("dead") == 2)
        assert tries["bad"] == 5

        mended = True
        assert await TaskQueue(connection).retry([given_up.task]) == 1
        await eventually(lambda: "done" in outcomes)
    assert tries["bad"] == 6
    assert await _is_empty(redis)


async def test_what_only_has_to_wait_is_never_given_up(
    agenda_of: Callable[..., TaskQueue], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TaskRunningError, "retry_after", timedelta(milliseconds=1))
    tries = 0

    async def run(_: Task) -> None:
        nonlocal tries
        tries += 1
        if tries < 9:
            raise TaskRunningError("another worker is at it")

    async with TaskRunner(run, agenda_of(), concurrency=1, poll=_POLL) as jobs:
        jobs.submit(_DUE)
        await eventually(lambda: tries == 9)
        assert jobs.dead == 0


async def test_what_waits_for_quiet_is_done_once_nothing_like_it_comes_up(
    agenda_of: Callable[..., TaskQueue], redis: RedisClient
) -> None:
    ran: list[Task] = []

    async def run(due: Task) -> None:
        ran.append(due)

    alice = User("alice")
    async with TaskRunner(run, agenda_of(), concurrency=1, poll=_POLL) as jobs:
        for quiet in (60.0, 0.02):
            jobs.submit(ExtractTask(alice, "s_1", "", final=True, quiet=quiet))
            await eventually(lambda: len(asyncio.all_tasks()) == 3)
        jobs.submit(ExtractTask(alice, "s_2", "", final=True, quiet=60.0))
        await eventually(lambda: len(ran) == 1 and not jobs.waiting)
    assert ran == [ExtractTask(alice, "s_1", "", final=True)]
    assert await redis.zcard("onionskin:{due}:waiting") == 1


async def test_no_more_jobs_run_at_once_than_allowed_and_leaving_hands_them_back(
    agenda_of: Callable[..., TaskQueue], redis: RedisClient
) -> None:
    running = most = done = 0

    async def run(_: Task) -> None:
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        try:
            await asyncio.sleep(60)
        finally:
            running -= 1

    async def quickly(_: Task) -> None:
        nonlocal done
        done += 1

    async with TaskRunner(run, agenda_of(), concurrency=3) as jobs:
        for number in range(12):
            jobs.submit(EmbedTask(User(f"user-{number}")))
        await eventually(lambda: most == 3)
    assert running == 0
    assert most == 3
    async with TaskRunner(quickly, agenda_of(), concurrency=3, poll=_POLL), asyncio.timeout(10):
        while not await _is_empty(redis):  # noqa: ASYNC110 - the last is put down after it is done
            await asyncio.sleep(0.01)
    assert done == 12


async def test_draining_lets_what_is_under_way_finish(agenda_of: Callable[..., TaskQueue]) -> None:
    began, done = asyncio.Event(), False

    async def run(_: Task) -> None:
        nonlocal done
        began.set()
        await asyncio.sleep(0.02)
        done = True

    async with TaskRunner(run, agenda_of(), concurrency=1) as jobs:
        jobs.submit(_DUE)
        await began.wait()
        await jobs.drain(_LONG)
        assert done
