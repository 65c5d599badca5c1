"""A cancelled command costs its connection, never the next request's answer.

With the connection kept after a cancellation, a late reply would be read as the answer to the next
command on it, and a canary below would see another user's messages.
"""

import asyncio
import random

from onionskin.memory.store import RedisStore
from onionskin.memory.types.messages import Message, Session, User

_CANCELLED = 3000
_CANARIES = 20


async def _plant(store: RedisStore, number: int) -> User:
    user = User(f"user-{number}")
    session = Session(f"s_{number}", 1000.0, 1000.0)
    await store.transcripts.commit(
        user, session, [(Message("user", f"of {number}", 1.0), None)], create=True
    )
    return user


async def _sing(store: RedisStore, user: User, number: int) -> None:
    snapshot = await store.transcripts.load_turn(user, f"s_{number}", now=1000.0, since=None)
    assert snapshot.session.id == f"s_{number}"
    assert {entry.message.content for entry in snapshot.unfolded} == {f"of {number}"}


async def test_thousands_of_cancellations_cross_no_wires(store: RedisStore) -> None:
    draw = random.Random(0)
    users = [await _plant(store, number) for number in range(_CANARIES)]
    cancelled = sung = 0

    async def disturb() -> None:
        nonlocal cancelled
        while cancelled < _CANCELLED:
            number = draw.randrange(_CANARIES)
            task = asyncio.create_task(_sing(store, users[number], number))
            for _ in range(draw.randrange(12)):
                await asyncio.sleep(0)
            if task.cancel():
                cancelled += 1
            await asyncio.wait((task,))
            if not task.cancelled():
                task.result()

    async def sing(number: int) -> None:
        nonlocal sung
        while cancelled < _CANCELLED:
            await _sing(store, users[number], number)
            sung += 1

    try:
        await asyncio.gather(
            *(disturb() for _ in range(20)), *(sing(number) for number in range(_CANARIES))
        )
    finally:
        cancelled = _CANCELLED  # a client of Redis may swallow what cancels it, on Python 3.11
    assert sung > _CANARIES
    for number, user in enumerate(users):
        await _sing(store, user, number)
