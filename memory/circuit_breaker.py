"""A circuit breaker: what fails again and again is left alone, and tried now and then.

Source: Nygard, Release It! (2007): closed, open, half-open.
"""

import random
import time
from collections.abc import Callable
from datetime import timedelta


class CircuitBreaker:
    """What one process knows of a provider.

    It opens after so many failures in a row, or when the provider says when to come back. Open, it
    admits nothing; after a rest one call, the probe, is let through: if it succeeds the circuit is
    closed, if it fails the rest is doubled.

    Args:
        failures: in a row; 0 never opens it.
        window: failures further apart than this are not in a row.
        slow: a call that was cut off after this long failed; one cut off before says nothing.
        rest, longest: how long it stays open at first, and at most.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        *,
        failures: int,
        window: timedelta,
        slow: timedelta,
        rest: timedelta = timedelta(seconds=5),
        max_rest: timedelta = timedelta(minutes=1),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most, self._window, self._slow = failures, window.total_seconds(), slow
        self._rest, self._longest = rest.total_seconds(), max_rest.total_seconds()
        self._clock = clock
        self._failures, self._failed_at, self._openings = 0, 0.0, 0
        self._until: float | None = None
        self._probing = False

    @property
    def level(self) -> float:
        """0 closed, 1 open, and 0.5 where a probe may be sent or is under way."""
        if self._until is None:
            return 0.0
        return 1.0 if self._until > self._clock() and not self._probing else 0.5

    def admit(self) -> timedelta | None:
        """None if a call may be made now; else when to come back."""
        now = self._clock()
        if self._until is None:
            return None
        if self._until > now:
            return timedelta(seconds=self._until - now)
        # This call is the probe; should nothing be heard of it, another follows.
        self._until, self._probing = now + self._slow.total_seconds(), True
        return None

    def record_success(self) -> None:
        """A call was answered."""
        self._failures, self._openings = 0, 0
        self._until, self._probing = None, False

    def record_failure(self, retry_after: timedelta | None = None) -> None:
        """A call failed in a way that the next may, too; perhaps the provider said until when."""
        now = self._clock()
        in_a_row = self._failures and now - self._failed_at <= self._window
        self._failures = self._failures + 1 if in_a_row else 1
        self._failed_at = now
        if not self._most:
            return
        if self._until is not None and not self._probing:
            return  # it was under way when the circuit opened
        if self._probing or retry_after is not None or self._failures >= self._most:
            self._open(now, retry_after)

    def record_cancellation(self, after: timedelta) -> None:
        """A call was cancelled after so long."""
        if after >= self._slow:
            self.record_failure()

    def _open(self, now: float, retry_after: timedelta | None) -> None:
        rest = min(self._rest * 2**self._openings, self._longest)
        rest *= random.uniform(0.75, 1.0)  # noqa: S311 - so that workers do not probe in step
        if retry_after is not None:
            rest = min(retry_after.total_seconds(), self._longest)
        self._until, self._probing = now + rest, False
        self._openings += 1
