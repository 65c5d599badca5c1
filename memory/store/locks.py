"""Leases: one worker at a job of a user's at a time, and another soon after it died.

A turn's hold on its session, while the model thinks.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator
from datetime import timedelta

from onionskin.memory.cancellation import cancel_and_wait
from onionskin.memory.errors import OnionskinError, TaskRunningError
from onionskin.memory.session_lock import LOCK_MILLISECONDS
from onionskin.memory.store import keys
from onionskin.memory.store.redis.scripts import Script
from onionskin.memory.store.store import RedisStore
from onionskin.memory.types.messages import User

_LEASE = Script("lease")
_RENEWALS = 3  # within the time that a lease holds
LEASE_TIMEOUT = timedelta(seconds=30)
"""How long a lease outlives the worker that took it."""


@contextlib.asynccontextmanager
async def leased(
    store: RedisStore, user: User, purpose: str, *, hold: timedelta = LEASE_TIMEOUT
) -> AsyncGenerator[None]:
    """Be the only worker at a job, for as long as it takes.

    What is written under a lease is written by compare-and-set all the same: a process that was
    stopped for longer than `hold` may wake up beside its successor.

    Raises:
        UnderWayError: another worker is at it.
    """
    token = secrets.token_hex(8)
    if not await take_lease(store, user, purpose, hold=hold, token=token):
        raise TaskRunningError(
            f"Another worker is at {purpose.partition(':')[0]!r} of this session."
        )
    renewing = asyncio.create_task(_renew(store, user, purpose, token, hold), name="lease")
    try:
        yield
    finally:
        await cancel_and_wait(renewing)
        with contextlib.suppress(OnionskinError):  # then it ends by itself
            await _hold(store, user, purpose, token, timedelta())


async def take_lease(
    store: RedisStore, user: User, purpose: str, *, hold: timedelta, token: str = ""
) -> bool:
    """Take a job for this user; False while another worker is at it."""
    name, px = keys.lease(user, purpose), int(hold.total_seconds() * 1000)
    taken = store.connection.commands.set(name, token, nx=True, px=px)
    return bool(await store.connection.call(taken))


async def _renew(store: RedisStore, user: User, purpose: str, token: str, hold: timedelta) -> None:
    while True:
        await asyncio.sleep(hold.total_seconds() / _RENEWALS)
        with contextlib.suppress(OnionskinError):
            await _hold(store, user, purpose, token, hold)


async def _hold(store: RedisStore, user: User, purpose: str, token: str, hold: timedelta) -> None:
    milliseconds = int(hold.total_seconds() * 1000)
    await store.connection.run(_LEASE, keys.prefix(user), purpose, token, milliseconds)


_HOLD = Script("hold")
_GIVE_BACK_SECONDS = 0.2  # nobody who is told that Redis is away should wait for this, too


async def renew_lock(store: RedisStore, user: User, session_id: str, token: str) -> bool:
    """Hold the session for longer; whether a newer turn wants this one to stop."""
    return await _lock_session(store, user, session_id, token, LOCK_MILLISECONDS)


async def release_lock(store: RedisStore, user: User, session_id: str, token: str) -> None:
    """Let the next turn have the session; while Redis is away, the hold ends by itself."""
    with contextlib.suppress(OnionskinError, TimeoutError):
        async with asyncio.timeout(_GIVE_BACK_SECONDS):
            await _lock_session(store, user, session_id, token, 0)


async def _lock_session(
    store: RedisStore, user: User, session_id: str, token: str, milliseconds: int
) -> bool:
    key = keys.prefix(user)
    return bool(await store.connection.run(_HOLD, key, session_id, token, milliseconds))
