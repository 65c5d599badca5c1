"""A circuit breaker: stops calls to a provider that keeps failing, and probes it now and then.

Source: Nygard, Release It! (2007); states closed, open, half-open.
"""

import random
import time
from collections.abc import Callable
from datetime import timedelta


class CircuitBreaker:
    """The state of one provider in one process.

    The circuit opens after `failures` failures in a row, or when the provider sends a retry time.
    An open circuit rejects calls. After a rest it admits one call, the probe. A successful probe
    closes the circuit; a failed one doubles the rest.

    Args:
        failures: Consecutive failures that open the circuit; 0 never opens it.
        window: Failures further apart than this are not consecutive.
        slow: A call cancelled after at least this time counts as a failure; earlier ones do not.
        rest: How long the circuit stays open at first.
        max_rest: How long it stays open at most.
        clock: Monotonic time in seconds.
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
        self._failure_limit, self._window, self._slow = failures, window.total_seconds(), slow
        self._rest, self._longest = rest.total_seconds(), max_rest.total_seconds()
        self._clock = clock
        self._failures, self._failed_at, self._openings = 0, 0.0, 0
        self._until: float | None = None
        self._probing = False

    @property
    def level(self) -> float:
        """0 for closed, 1 for open, 0.5 for half-open: a probe is allowed or running."""
        if self._until is None:
            return 0.0
        return 1.0 if self._until > self._clock() and not self._probing else 0.5

    def admit(self) -> timedelta | None:
        """None if a call is allowed now; otherwise the time until the next one is."""
        now = self._clock()
        if self._until is None:
            return None
        if self._until > now:
            return timedelta(seconds=self._until - now)
        # This call is the probe. If it never reports a result, another is allowed after `slow`.
        self._until, self._probing = now + self._slow.total_seconds(), True
        return None

    def record_success(self) -> None:
        """Record a successful call: the circuit closes."""
        self._failures, self._openings = 0, 0
        self._until, self._probing = None, False

    def record_failure(self, retry_after: timedelta | None = None) -> None:
        """Record a failed call, with the provider's retry time if it sent one."""
        now = self._clock()
        consecutive = self._failures and now - self._failed_at <= self._window
        self._failures = self._failures + 1 if consecutive else 1
        self._failed_at = now
        if not self._failure_limit:
            return
        if self._until is not None and not self._probing:
            return  # the call started before the circuit opened
        if self._probing or retry_after is not None or self._failures >= self._failure_limit:
            self._open(now, retry_after)

    def record_cancellation(self, after: timedelta) -> None:
        """Record a call that was cancelled after a time: a failure if that is at least `slow`."""
        if after >= self._slow:
            self.record_failure()

    def _open(self, now: float, retry_after: timedelta | None) -> None:
        rest = min(self._rest * 2**self._openings, self._longest)
        rest *= random.uniform(0.75, 1.0)  # noqa: S311 - jitter: workers must not probe at once
        if retry_after is not None:
            rest = min(retry_after.total_seconds(), self._longest)
        self._until, self._probing = now + rest, False
        self._openings += 1
