"""Commands wait for their turn instead of failing, and no group keeps the others out."""

import asyncio
from datetime import timedelta

import pytest

from onionskin.memory.errors import StoreBusyError
from onionskin.memory.store import Connection, RedisStore
from onionskin.memory.store.redis.fair_gate import FairGate, set_group_of_commands
from onionskin.memory.types.messages import Message, Session, User

_LONG = timedelta(seconds=60)


async def _enter(gate: FairGate, group: str, order: list[str]) -> None:
    set_group_of_commands(group)
    await gate.enter()
    order.append(group)


async def test_groups_take_turns() -> None:
    gate, order = FairGate(1, _LONG), list[str]()
    await gate.enter()
    groups = ["greedy"] * 50 + ["modest"]
    tasks = [asyncio.create_task(_enter(gate, group, order)) for group in groups]
    await asyncio.sleep(0)
    for _ in groups:
        gate.leave()
        await asyncio.sleep(0)
    assert order.index("modest") == 1
    await asyncio.gather(*tasks)
    gate.leave()
    await asyncio.wait_for(gate.enter(), 1)


async def test_a_command_that_waits_too_long_is_refused_as_busy() -> None:
    gate = FairGate(1, timedelta(milliseconds=20))
    await gate.enter()
    with pytest.raises(StoreBusyError, match="busy"):
        await gate.enter()
    assert gate.waiting == 0
    gate.leave()
    await gate.enter()


@pytest.mark.parametrize("granted", [False, True])
async def test_a_cancelled_command_loses_no_slot(granted: bool) -> None:
    gate = FairGate(1, _LONG)
    await gate.enter()
    task = asyncio.create_task(gate.enter())
    await asyncio.sleep(0)
    if granted:
        gate.leave()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    if not granted:
        gate.leave()
    await asyncio.wait_for(gate.enter(), 1)
    assert gate.waiting == 0


async def test_a_thousand_turns_at_once_are_all_stored(store: RedisStore) -> None:
    async def turn(number: int) -> None:
        user, session = User(f"user-{number}"), Session("s_1", 1.0, 1.0)
        await store.transcripts.load_turn(user, now=1.0, since=None)
        message = Message("user", str(number), 1.0)
        await store.transcripts.commit(user, session, [(message, None)], create=True)
        (entry,) = await store.transcripts.read(user, "s_1", start=0, count=1)
        assert entry.message.content == str(number)

    await asyncio.gather(*map(turn, range(1000)))


async def test_commands_of_every_kind_are_limited(redis_url: str) -> None:
    connection = Connection(redis_url, timeout=timedelta(seconds=15), longest_wait=_LONG)
    try:
        commands = [connection.call(connection.commands.get(f"key{n}")) for n in range(400)]
        assert await asyncio.gather(*commands) == [None] * 400
        clients = await connection.call(connection.commands.info("clients"))
        assert clients["connected_clients"] < 100
    finally:
        await connection.aclose()
