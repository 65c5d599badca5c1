"""Locks: leases that give a task to one worker at a time, and the lock of a turn on its session."""

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
from onionskin.memory.store.repository import Repository
from onionskin.memory.types.messages import User

_RENEW_LEASE = Script.inline("""
-- Renew or release a lease if this token holds it; 1 if it did.
-- KEYS[1] the user's prefix   ARGV 1 purpose   2 token   3 milliseconds, 0 to release
local lease = KEYS[1] .. 'lease:' .. ARGV[1]
if redis.call('GET', lease) ~= ARGV[2] then
  return 0
end
if ARGV[3] == '0' then
  redis.call('DEL', lease)
else
  redis.call('PEXPIRE', lease, ARGV[3])
end
return 1
""")
_SESSION_LOCK = Script.inline("""
-- Renew or release a turn's lock on its session; 1 if a newer turn asks this one to stop.
-- KEYS[1] the user's prefix   ARGV 1 session id   2 the turn's token   3 milliseconds, 0 to release
local lease, stop = KEYS[1] .. 'lease:turn:' .. ARGV[1], KEYS[1] .. 'lease:stop:' .. ARGV[1]
local holder, must_stop = redis.call('GET', lease), redis.call('GET', stop) == ARGV[2]
if ARGV[3] == '0' then
  if holder == ARGV[2] then
    redis.call('DEL', lease)
  end
  if must_stop then
    redis.call('DEL', stop)
  end
elseif holder == ARGV[2] then
  redis.call('PEXPIRE', lease, ARGV[3])
end
return must_stop and 1 or 0
""")
_RENEWALS = 3
"""How many times a lease is renewed within its timeout."""
_RELEASE_SECONDS = 0.2
"""Time limit for releasing a session lock, so that an error about Redis is not delayed by it."""
LEASE_TIMEOUT = timedelta(seconds=30)
"""How long a lease outlives a worker that dies."""


class Locks(Repository):
    """Leases on tasks and locks on sessions, per user."""

    @contextlib.asynccontextmanager
    async def lease(
        self, user: User, purpose: str, *, timeout: timedelta = LEASE_TIMEOUT
    ) -> AsyncGenerator[None]:
        """Hold a lease within the context, and renew it in the background.

        Writes under a lease still need compare-and-set: a process that was suspended for longer
        than `timeout` may wake up beside the worker that took over.

        Raises:
            TaskRunningError: Another worker holds the lease.
        """
        token = secrets.token_hex(8)
        if not await self.acquire(user, purpose, timeout=timeout, token=token):
            raise TaskRunningError(
                f"Another worker is at {purpose.partition(':')[0]!r} of this session."
            )
        renewal = asyncio.create_task(self._renew(user, purpose, token, timeout), name="lease")
        try:
            yield
        finally:
            await cancel_and_wait(renewal)
            with contextlib.suppress(OnionskinError):  # then the lease expires by itself
                await self._extend(user, purpose, token, timedelta())

    async def acquire(
        self, user: User, purpose: str, *, timeout: timedelta, token: str = ""
    ) -> bool:
        """Take a lease without renewing it; False while another worker holds it."""
        name, milliseconds = keys.lease(user, purpose), int(timeout.total_seconds() * 1000)
        return bool(await self._call(self._commands.set(name, token, nx=True, px=milliseconds)))

    async def renew_session(self, user: User, session_id: str, token: str) -> bool:
        """Extend a turn's lock on its session; True if a newer turn asks this one to stop."""
        return await self._lock_session(user, session_id, token, LOCK_MILLISECONDS)

    async def release_session(self, user: User, session_id: str, token: str) -> None:
        """Release a turn's lock on its session; while Redis is away, the lock expires by itself."""
        with contextlib.suppress(OnionskinError, TimeoutError):
            async with asyncio.timeout(_RELEASE_SECONDS):
                await self._lock_session(user, session_id, token, 0)

    async def _renew(self, user: User, purpose: str, token: str, timeout: timedelta) -> None:
        while True:
            await asyncio.sleep(timeout.total_seconds() / _RENEWALS)
            with contextlib.suppress(OnionskinError):
                await self._extend(user, purpose, token, timeout)

    async def _extend(self, user: User, purpose: str, token: str, timeout: timedelta) -> None:
        milliseconds = int(timeout.total_seconds() * 1000)
        await self._connection.run(_RENEW_LEASE, keys.prefix(user), purpose, token, milliseconds)

    async def _lock_session(
        self, user: User, session_id: str, token: str, milliseconds: int
    ) -> bool:
        prefix = keys.prefix(user)
        reply = await self._connection.run(_SESSION_LOCK, prefix, session_id, token, milliseconds)
        return bool(reply)
