"""Two turns at once on one session: who waits, who is refused, who is stopped.

A turn holds its session by a lease in Redis that is taken with the turn's one read and given back
with its one write. While the model thinks, the holder renews the lease now and then and looks
whether a newer turn wants it to stop. Turns that wait stand in a line, kept in Redis.
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
"""Wait for the turn under way; be refused; stop it and go on; or do not care."""
LOCK_MILLISECONDS = 4_000
"""How long a session stays held by a worker that died."""
_LOOK_SECONDS = 0.3
_WAIT_SECONDS = 120.0
_FIRST_PAUSE_SECONDS, _PAUSE_A_PLACE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.005, 0.05, 0.25
"""Who is next asks often; who does not ask for two seconds loses the place."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SessionLock:
    """A turn's claim on its session.

    Attributes:
        policy: what to do when another turn has it.
        token: names this turn; empty for one that claims nothing.
    """

    policy: OnConflict = "queue"
    token: str = field(default_factory=lambda: secrets.token_hex(8))

    @classmethod
    def new(cls, policy: OnConflict) -> "SessionLock":
        """A claim of a new turn."""
        return cls(policy, "" if policy == "parallel" else secrets.token_hex(8))


class InterruptedTurnError(OnionskinError):
    """A newer turn on the session stopped this one before it had said anything."""

    code = "turn_interrupted"


RenewLock: TypeAlias = Callable[[], Awaitable[bool]]
"""Renews a hold, and tells whether the turn should stop."""


class LockHeartbeat:
    """Keeps a turn's hold while the model thinks, and stops the model when a newer turn wants it.

    Use `async with`, and await the model through `guard`.

    Args:
        look: renews the hold; whether the turn should stop. Failures count as no.
    """

    def __init__(self, look: RenewLock | None) -> None:
        self._look = look
        self._timer: asyncio.TimerHandle | None = None
        self._looking: asyncio.Task[None] | None = None
        self._scope: asyncio.Timeout | None = None
        self.interrupted = False

    async def __aenter__(self) -> Self:
        self._later()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._look = None
        if self._timer:
            self._timer.cancel()
        if self._looking:
            await cancel_and_wait(self._looking)

    async def run_guarded(self, model: Awaitable[T]) -> T | None:
        """What the model says; None once it was stopped."""
        try:
            async with asyncio.timeout(0 if self.interrupted else None) as self._scope:
                return await model
        except TimeoutError:
            if not self.interrupted:
                raise
            return None
        finally:
            self._scope = None

    def _later(self) -> None:
        if self._look and not self.interrupted:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_LOOK_SECONDS, self._start)

    def _start(self) -> None:
        self._looking = asyncio.create_task(self._look_once(), name="turn-watch")

    async def _look_once(self) -> None:
        try:
            self.interrupted = bool(self._look and await self._look())
        except OnionskinError:
            self.interrupted = False  # Redis is away; the commit will tell
        if self.interrupted and self._scope:
            self._scope.reschedule(asyncio.get_running_loop().time())
        self._later()


async def acquire(hold: SessionLock | None, take: Callable[[], Awaitable[T]]) -> T:
    """What `take` reads, as soon as the session is free and nobody waits who came before.

    Raises:
        SessionBusyError: another turn has the session, and `hold` does not wait, or waited for as
            long as a turn may take.
    """
    deadline = time.monotonic() + _WAIT_SECONDS
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            return await take()
        except SessionBusyError as error:
            if hold is None or hold.policy == "reject" or time.monotonic() > deadline:
                raise
            longest = min(error.place * _PAUSE_A_PLACE_SECONDS, _LONGEST_PAUSE_SECONDS)
        await asyncio.sleep(min(pause, longest) * random.uniform(0.5, 1.0))  # noqa: S311
        pause *= 2
