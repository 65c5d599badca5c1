"""Leases: one worker at a job of a user's at a time, and another soon after it died."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator
from datetime import timedelta

from memory.ending import end
from memory.errors import StrataError, UnderWayError
from memory.store import keys
from memory.store.redis import RedisStore
from memory.store.scripts import Script
from memory.types import User

_LEASE = Script("lease")
_RENEWALS = 3  # within the time that a lease holds
HOLD = timedelta(seconds=30)
"""How long a lease outlives the worker that took it."""


@contextlib.asynccontextmanager
async def leased(
    store: RedisStore, user: User, purpose: str, *, hold: timedelta = HOLD
) -> AsyncGenerator[None]:
    """Be the only worker at a job, for as long as it takes.

    What is written under a lease is written by compare-and-set all the same: a process that was
    stopped for longer than `hold` may wake up beside its successor.

    Raises:
        UnderWayError: another worker is at it.
    """
    token = secrets.token_hex(8)
    if not await take_lease(store, user, purpose, hold=hold, token=token):
        raise UnderWayError(f"Another worker is at {purpose.partition(':')[0]!r} of this session.")
    renewing = asyncio.create_task(_renew(store, user, purpose, token, hold), name="lease")
    try:
        yield
    finally:
        await end(renewing)
        with contextlib.suppress(StrataError):  # then it ends by itself
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
        with contextlib.suppress(StrataError):
            await _hold(store, user, purpose, token, hold)


async def _hold(store: RedisStore, user: User, purpose: str, token: str, hold: timedelta) -> None:
    milliseconds = int(hold.total_seconds() * 1000)
    await store.connection.run(_LEASE, keys.prefix(user), purpose, token, milliseconds)
