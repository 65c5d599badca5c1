"""Jobs of several workers: none is lost, and none is done by two that live."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from onionskin.memory.store import Connection
from onionskin.memory.store.task_queue import Agenda, forget_user, pack_due
from onionskin.memory.types.messages import User
from onionskin.memory.types.tasks import Due, EmbedDue, FoldDue
from onionskin.service.tasks.runner import Jobs
from tests.conftest import RedisClient, eventually

_POLL = timedelta(milliseconds=5)
_DUE = EmbedDue(User("alice"))


@pytest.fixture
def agenda_of(connection: Connection) -> Callable[..., Agenda]:
    """The agenda as a worker of its own has it."""

    def make(hold: timedelta = timedelta(seconds=30)) -> Agenda:
        return Agenda(connection, hold=hold)

    return make


async def _is_empty(redis: RedisClient) -> bool:
    return not [key async for key in redis.scan_iter("onionskin:{due}:*")]


async def test_another_worker_takes_over_what_a_dead_one_was_at(
    agenda_of: Callable[..., Agenda],
) -> None:
    ran = False

    async def run(_: Due) -> None:
        nonlocal ran
        ran = True

    assert await agenda_of(hold=timedelta(milliseconds=30)).begin(_DUE)  # and it dies
    async with Jobs(run, agenda_of(), concurrency=1, poll=_POLL):
        await eventually(lambda: ran)


async def test_a_worker_that_lives_keeps_what_it_is_at(
    agenda_of: Callable[..., Agenda], redis: RedisClient
) -> None:
    ran, release = 0, asyncio.Event()
    hold = timedelta(milliseconds=30)

    async def run(_: Due) -> None:
        nonlocal ran
        ran += 1
        await release.wait()

    async with (
        Jobs(run, agenda_of(hold), concurrency=1, poll=_POLL) as jobs,
        Jobs(run, agenda_of(hold), concurrency=1, poll=_POLL) as other,
    ):
        jobs.submit(_DUE)
        await eventually(lambda: ran == 1)
        seen: set[float] = set()
        while len(seen) < 5:  # held anew four times: longer than it holds by itself
            seen.add(await redis.zscore("onionskin:{due}:waiting", pack_due(_DUE)))
        assert (ran, other.waiting) == (1, 0)
        release.set()
        await eventually(lambda: jobs.waiting == 0)
    assert await _is_empty(redis)


async def test_a_worker_that_does_none_leaves_all_to_another(
    agenda_of: Callable[..., Agenda],
) -> None:
    ran: list[str] = []

    def runner(name: str) -> Callable[[Due], asyncio.Future[None]]:
        async def run(_: Due) -> None:
            ran.append(name)

        return lambda due: asyncio.ensure_future(run(due))

    async with (
        Jobs(runner("serve"), agenda_of(), concurrency=0) as serve,
        Jobs(runner("worker"), agenda_of(), concurrency=1, poll=_POLL),
    ):
        serve.submit(FoldDue(User("alice"), "s_1", ""))
        await eventually(lambda: ran == ["worker"])


async def test_what_was_noted_while_it_ran_is_done_once_more(
    agenda_of: Callable[..., Agenda], redis: RedisClient
) -> None:
    one, two = agenda_of(), agenda_of()
    assert await one.begin(_DUE)
    await two.note(_DUE)
    await one.done(_DUE)
    assert (await two.take(5)).dues == (_DUE,)
    await one.done(_DUE)  # late, and no longer its own
    await two.done(_DUE)
    assert await _is_empty(redis)


async def test_a_sweep_brings_forward_and_puts_nothing_off(
    agenda_of: Callable[..., Agenda],
) -> None:
    one, two = agenda_of(), agenda_of()
    await one.note(_DUE, after=600)
    await two.note(_DUE, after=900, anew=False)
    assert (await two.take(5)).dues == ()
    await two.note(_DUE, anew=False)
    assert (await two.take(5)).dues == (_DUE,)
    await one.note(_DUE, anew=False)  # whoever is at it keeps it
    assert (await one.take(5)).dues == ()


async def test_nothing_of_an_erased_user_is_on_the_agenda(
    agenda_of: Callable[..., Agenda], connection: Connection, redis: RedisClient
) -> None:
    agenda, alice = agenda_of(), User("alice")
    await agenda.note(*(FoldDue(alice, f"s_{number}", "") for number in range(3)))
    await agenda.note(EmbedDue(User("alice", "other")), EmbedDue(User('x"user":')))
    assert await agenda.begin(_DUE)
    await forget_user(connection, alice)
    assert {due.user for due in (await agenda.take(9)).dues} == {
        User("alice", "other"),
        User('x"user":'),
    }
    await agenda.failed(_DUE, "late")
    assert await redis.zcard("onionskin:{due}:waiting") == 2
    assert not await redis.exists("onionskin:{due}:failures")
