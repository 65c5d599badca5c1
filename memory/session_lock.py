"""The session lock: concurrent turns on one session wait, are refused, or interrupt each other.

The lock is a lease in Redis, taken with the turn's one read and released with its one write. While
the model runs, a heartbeat renews it, and learns whether a newer turn interrupts this one. Waiting
turns form a queue in Redis.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, Self, TypeAlias, TypeVar

from onionskin.memory.cancellation import cancel_and_wait
from onionskin.memory.errors import OnionskinError, SessionBusyError

OnConflict: TypeAlias = Literal["queue", "reject", "interrupt", "parallel"]
"""Wait for the running turn; be refused; interrupt it; or run beside it without a lock."""
LOCK_MILLISECONDS = 4_000
"""Time until the lock of a dead worker expires."""
_HEARTBEAT_SECONDS = 0.3
_MAX_WAIT_SECONDS = 120.0
_FIRST_PAUSE_SECONDS, _PAUSE_PER_PLACE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.005, 0.05, 0.25
"""The first turn of the queue polls most often; two seconds without polling lose the place."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SessionLock:
    """A turn's lock on its session.

    Attributes:
        policy: What to do while another turn has the lock.
        token: Identifies this turn; empty for one that takes no lock.
    """

    policy: OnConflict = "queue"
    token: str = field(default_factory=lambda: secrets.token_hex(8))

    @classmethod
    def new(cls, policy: OnConflict) -> "SessionLock":
        """The lock of a new turn."""
        return cls(policy, "" if policy == "parallel" else secrets.token_hex(8))


class InterruptedTurnError(OnionskinError):
    """A newer turn on the session interrupted this one before its answer began."""

    code = "turn_interrupted"


RenewLock: TypeAlias = Callable[[], Awaitable[bool]]
"""Renews the lock, and returns whether the turn should stop."""


class LockHeartbeat:
    """Renews a session lock while the model runs, and stops the model if a newer turn interrupts.

    Use `async with`, and await the model through `run_guarded`.

    Args:
        renew: Renews the lock; a failure does not stop the turn. None for a turn without a lock.
    """

    def __init__(self, renew: RenewLock | None) -> None:
        self._renew = renew
        self._timer: asyncio.TimerHandle | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._scope: asyncio.Timeout | None = None
        self.interrupted = False

    async def __aenter__(self) -> Self:
        self._schedule()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._renew = None
        if self._timer:
            self._timer.cancel()
        if self._renewal:
            await cancel_and_wait(self._renewal)

    async def run_guarded(self, model: Awaitable[T]) -> T | None:
        """The result of `model`; None if the turn was interrupted."""
        try:
            async with asyncio.timeout(0 if self.interrupted else None) as self._scope:
                return await model
        except TimeoutError:
            if not self.interrupted:
                raise
            return None
        finally:
            self._scope = None

    def _schedule(self) -> None:
        if self._renew and not self.interrupted:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_HEARTBEAT_SECONDS, self._start)

    def _start(self) -> None:
        self._renewal = asyncio.create_task(self._renew_once(), name="session-lock-heartbeat")

    async def _renew_once(self) -> None:
        try:
            self.interrupted = bool(self._renew and await self._renew())
        except OnionskinError:
            self.interrupted = False  # Redis is unavailable; the commit will fail
        if self.interrupted and self._scope:
            self._scope.reschedule(asyncio.get_running_loop().time())
        self._schedule()


async def acquire(lock: SessionLock | None, load: Callable[[], Awaitable[T]]) -> T:
    """The result of `load`, once it takes the lock; earlier turns of the queue go first.

    Raises:
        SessionBusyError: Another turn has the session, and `lock` does not wait, or waited for as
            long as a turn may take.
    """
    deadline = time.monotonic() + _MAX_WAIT_SECONDS
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            return await load()
        except SessionBusyError as error:
            if lock is None or lock.policy == "reject" or time.monotonic() > deadline:
                raise
            longest = min(error.place * _PAUSE_PER_PLACE_SECONDS, _LONGEST_PAUSE_SECONDS)
        await asyncio.sleep(min(pause, longest) * random.uniform(0.5, 1.0))  # noqa: S311
        pause *= 2
