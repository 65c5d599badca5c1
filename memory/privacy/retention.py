"""Retention periods for sessions, traces and memories: by default, per tenant and per user.

A session expires as a whole, with messages, vectors and summary, some time after its last message.
A memory expires some time after its last change, unless it is pinned. Expired data are never read,
even before the sweeper deletes them.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import msgspec

from onionskin.memory.errors import ConfigurationError
from onionskin.memory.types.messages import User
from onionskin.memory.types.prompt_trace import TRACE_SECONDS
from onionskin.memory.types.records import HISTORY_SECONDS, KINDS, Kind, Record

_UNLIMITED, _NEVER_BEFORE = timedelta(), -1e12


class RetentionPeriods(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Retention periods; `PT0S` means unlimited, and a week for traces."""

    sessions: timedelta | None = None
    traces: timedelta | None = None
    memories: dict[Kind, timedelta] = {}


class RetentionOptions(RetentionPeriods, frozen=True, forbid_unknown_fields=True):
    """`[retention]`; `tenants` and `users` (as `<tenant>/<user>`) override it."""

    tenants: dict[str, RetentionPeriods] = {}
    users: dict[str, RetentionPeriods] = {}


class Retention:
    """The retention policy.

    Args:
        options: Options of the TOML file; they override the settings.
        sessions: Default period for sessions; zero for unlimited.
        memories: Default period for memories; zero for unlimited.
        clock: Current time in Unix seconds.

    Raises:
        ConfigurationError: A period is negative.
    """

    def __init__(
        self,
        options: RetentionOptions | None = None,
        *,
        sessions: timedelta = _UNLIMITED,
        memories: timedelta = _UNLIMITED,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._options = options or RetentionOptions()
        self._default = RetentionPeriods(sessions=sessions, memories=dict.fromkeys(KINDS, memories))
        self.clock = clock
        if any(span < _UNLIMITED for span in self._all()):
            raise ConfigurationError("[retention] has a negative period; PT0S means unlimited.")

    @property
    def shortest(self) -> timedelta | None:
        """The shortest period of any user; None if nothing expires."""
        return min((span for span in self._all() if span), default=None)

    def horizon(self, user: User) -> float:
        """Sessions last active at this time or before have expired; Unix seconds."""
        span = self._periods(user).sessions
        return self.clock() - span.total_seconds() if span else _NEVER_BEFORE

    def trace_seconds(self, user: User) -> int:
        """How long prompt traces are kept."""
        span = self._periods(user).traces
        return max(1, round(span.total_seconds())) if span else TRACE_SECONDS

    def trace_horizon(self, user: User) -> float:
        """Traces from this time or before have expired; Redis expires all after a week."""
        seconds = self.trace_seconds(user)
        return self.clock() - seconds if seconds < TRACE_SECONDS else _NEVER_BEFORE

    def history_seconds(self, user: User) -> int:
        """How long the history of memories is kept: at most the shortest period of memories."""
        spans = [span for span in self._periods(user).memories.values() if span]
        shortest = min(spans, default=timedelta(seconds=HISTORY_SECONDS))
        return max(1, min(HISTORY_SECONDS, round(shortest.total_seconds())))

    def history_horizon(self, user: User) -> float:
        """Changes from this time or before have expired; Redis expires all after a month."""
        seconds = self.history_seconds(user)
        return self.clock() - seconds if seconds < HISTORY_SECONDS else _NEVER_BEFORE

    def with_expiry(self, user: User, record: Record) -> Record:
        """A record with the end of its retention."""
        span = self._periods(user).memories.get(record.kind)
        until = record.updated + span.total_seconds() if span else None
        return record if until == record.kept_until else replace(record, kept_until=until)

    def is_expired(self, user: User, record: Record) -> bool:
        """Whether a record's retention has ended."""
        until = self.with_expiry(user, record).kept_until
        return until is not None and until <= self.clock() and not record.pinned

    def expires_memories(self) -> bool:
        """Whether memories of any user expire."""
        return any(span for spans in self._everywhere() for span in spans.memories.values())

    def _periods(self, user: User) -> RetentionPeriods:
        """The periods that apply to a user; the most specific option sets each."""
        options, periods = self._options, self._default
        for specific in (
            options,
            options.tenants.get(user.tenant),
            options.users.get(f"{user.tenant}/{user.id}"),
        ):
            if specific is not None:
                periods = RetentionPeriods(
                    sessions=periods.sessions if specific.sessions is None else specific.sessions,
                    traces=periods.traces if specific.traces is None else specific.traces,
                    memories=periods.memories | specific.memories,
                )
        return periods

    def _everywhere(self) -> list[RetentionPeriods]:
        options = self._options
        return [self._default, options, *options.tenants.values(), *options.users.values()]

    def _all(self) -> list[timedelta]:
        given = [
            span
            for spans in self._everywhere()
            for span in (spans.sessions, spans.traces, *spans.memories.values())
        ]
        return [span for span in given if span is not None]
