"""Jobs of several workers: none is lost, and none is done by two that live."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from onionskin.memory.store import Connection, TaskQueue
from onionskin.memory.store.task_queue import pack_task
from onionskin.memory.types.messages import User
from onionskin.memory.types.tasks import EmbedTask, SummarizeTask, Task
from onionskin.service.tasks.runner import TaskRunner
from tests.conftest import RedisClient, eventually

_POLL = timedelta(milliseconds=5)
_DUE = EmbedTask(User("alice"))


@pytest.fixture
def agenda_of(connection: Connection) -> Callable[..., TaskQueue]:
    """The agenda as a worker of its own has it."""

    def make(hold: timedelta = timedelta(seconds=30)) -> TaskQueue:
        return TaskQueue(connection, lock_timeout=hold)

    return make


async def _is_empty(redis: RedisClient) -> bool:
    return not [key async for key in redis.scan_iter("onionskin:{due}:*")]


async def test_another_worker_takes_over_what_a_dead_one_was_at(
    agenda_of: Callable[..., TaskQueue],
) -> None:
    ran = False

    async def run(_: Task) -> None:
        nonlocal ran
        ran = True

    assert await agenda_of(hold=timedelta(milliseconds=30)).claim(_DUE)  # and it dies
    async with TaskRunner(run, agenda_of(), concurrency=1, poll=_POLL):
        await eventually(lambda: ran)


async def test_a_worker_that_lives_keeps_its_task(
    agenda_of: Callable[..., TaskQueue], redis: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onionskin.service.tasks.runner._HEARTBEATS", 3000)  # each 10 ms, of 30 s
    ran, release = 0, asyncio.Event()
    hold = timedelta(seconds=30)

    async def run(_: Task) -> None:
        nonlocal ran
        ran += 1
        await release.wait()

    async with (
        TaskRunner(run, agenda_of(hold), concurrency=1, poll=_POLL) as jobs,
        TaskRunner(run, agenda_of(hold), concurrency=1, poll=_POLL) as other,
    ):
        jobs.submit(_DUE)
        await eventually(lambda: ran == 1)
        seen: set[float] = set()
        while len(seen) < 5:  # renewed four times
            seen.add(await redis.zscore("onionskin:{due}:waiting", pack_task(_DUE)))
        assert (ran, other.waiting) == (1, 0)
        release.set()
        await eventually(lambda: jobs.waiting == 0)
    assert await _is_empty(redis)


async def test_a_worker_that_does_none_leaves_all_to_another(
    agenda_of: Callable[..., TaskQueue],
) -> None:
    ran: list[str] = []

    def runner(name: str) -> Callable[[Task], asyncio.Future[None]]:
        async def run(_: Task) -> None:
            ran.append(name)

        return lambda due: asyncio.ensure_future(run(due))

    async with (
        TaskRunner(runner("serve"), agenda_of(), concurrency=0) as serve,
        TaskRunner(runner("worker"), agenda_of(), concurrency=1, poll=_POLL),
    ):
        serve.submit(SummarizeTask(User("alice"), "s_1", ""))
        await eventually(lambda: ran == ["worker"])


async def test_what_was_noted_while_it_ran_is_done_once_more(
    agenda_of: Callable[..., TaskQueue], redis: RedisClient
) -> None:
    one, two = agenda_of(), agenda_of()
    assert await one.claim(_DUE)
    await two.schedule(_DUE)
    await one.complete(_DUE)
    assert (await two.fetch(5)).tasks == (_DUE,)
    await one.complete(_DUE)  # late, and no longer its own
    await two.complete(_DUE)
    assert await _is_empty(redis)


async def test_a_sweep_brings_forward_and_puts_nothing_off(
    agenda_of: Callable[..., TaskQueue],
) -> None:
    one, two = agenda_of(), agenda_of()
    await one.schedule(_DUE, after=600)
    await two.schedule(_DUE, after=900, reschedule=False)
    assert (await two.fetch(5)).tasks == ()
    await two.schedule(_DUE, reschedule=False)
    assert (await two.fetch(5)).tasks == (_DUE,)
    await one.schedule(_DUE, reschedule=False)  # the worker that holds it keeps it
    assert (await one.fetch(5)).tasks == ()


async def test_nothing_of_an_erased_user_is_on_the_agenda(
    agenda_of: Callable[..., TaskQueue], connection: Connection, redis: RedisClient
) -> None:
    agenda, alice = agenda_of(), User("alice")
    await agenda.schedule(*(SummarizeTask(alice, f"s_{number}", "") for number in range(3)))
    await agenda.schedule(EmbedTask(User("alice", "other")), EmbedTask(User('x"user":')))
    assert await agenda.claim(_DUE)
    await TaskQueue(connection).forget_user(alice)
    assert {due.user for due in (await agenda.fetch(9)).tasks} == {
        User("alice", "other"),
        User('x"user":'),
    }
    await agenda.fail(_DUE, "late")
    assert await redis.zcard("onionskin:{due}:waiting") == 2
    assert not await redis.exists("onionskin:{due}:failures")
