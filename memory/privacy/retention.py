"""For how long what is stored is kept: by sort, for all users, for a tenant's, for one user.

A session goes as a whole, with its messages, vectors and summary, when nothing was said in it for
so long; a memory, so long after it was last changed, unless it is pinned. What is past its time is
not read any more, whether it has been swept yet or not.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta

import msgspec

from onionskin.memory.errors import ConfigurationError
from onionskin.memory.types.messages import User
from onionskin.memory.types.prompt_trace import TRACE_SECONDS
from onionskin.memory.types.records import HISTORY_SECONDS, KINDS, Kind, Record

_FOR_EVER, _NEVER_BEFORE = timedelta(), -1e12


class RetentionPeriods(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how long; `PT0S` for ever, or, of traces, for a week."""

    sessions: timedelta | None = None
    traces: timedelta | None = None
    memories: dict[Kind, timedelta] = {}


class RetentionOptions(RetentionPeriods, frozen=True, forbid_unknown_fields=True):
    """`[retention]`; `tenants` and `users` (as `<tenant>/<user>`) say what is different there."""

    tenants: dict[str, RetentionPeriods] = {}
    users: dict[str, RetentionPeriods] = {}


class Retention:
    """The policy.

    Args:
        options: of the TOML file; what stands there goes before the settings.
        sessions, memories: for how long by default; zero for ever.
        clock: seconds since the epoch.

    Raises:
        ConfigurationError: a time is negative.
    """

    def __init__(
        self,
        options: RetentionOptions | None = None,
        *,
        sessions: timedelta = _FOR_EVER,
        memories: timedelta = _FOR_EVER,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._options = options or RetentionOptions()
        self._default = RetentionPeriods(sessions=sessions, memories=dict.fromkeys(KINDS, memories))
        self.clock = clock
        if any(span < _FOR_EVER for span in self._all()):
            raise ConfigurationError("[retention] has a time below zero; PT0S is for ever.")

    @property
    def shortest(self) -> timedelta | None:
        """The shortest time after which anything goes, of anybody; None where all is kept."""
        return min((span for span in self._all() if span), default=None)

    def horizon(self, user: User) -> float:
        """What was last active at this moment or before is gone; Unix seconds."""
        span = self._first(spans.sessions for spans in self._of(user))
        return self.clock() - span.total_seconds() if span else _NEVER_BEFORE

    def trace_seconds(self, user: User) -> int:
        """For how long it is kept what prompts showed."""
        span = self._first(spans.traces for spans in self._of(user))
        return max(1, round(span.total_seconds())) if span else TRACE_SECONDS

    def trace_horizon(self, user: User) -> float:
        """Traces of this moment or before are gone; Redis itself forgets them after a week."""
        kept = self.trace_seconds(user)
        return self.clock() - kept if kept < TRACE_SECONDS else _NEVER_BEFORE

    def history_seconds(self, user: User) -> int:
        """For how long changes of memories are kept: never longer than memories of any kind."""
        spans = [span for span in self._memories(user).values() if span]
        shortest = min(spans, default=timedelta(seconds=HISTORY_SECONDS))
        return max(1, min(HISTORY_SECONDS, round(shortest.total_seconds())))

    def history_horizon(self, user: User) -> float:
        """Changes of this moment or before are gone; Redis itself forgets them after a month."""
        kept = self.history_seconds(user)
        return self.clock() - kept if kept < HISTORY_SECONDS else _NEVER_BEFORE

    def with_expiry(self, user: User, record: Record) -> Record:
        """A record with the time until which it is kept."""
        span = self._memories(user).get(record.kind)
        until = record.updated + span.total_seconds() if span else None
        return record if until == record.kept_until else replace(record, kept_until=until)

    def is_expired(self, user: User, record: Record) -> bool:
        """Whether a record is past its time."""
        until = self.with_expiry(user, record).kept_until
        return until is not None and until <= self.clock() and not record.pinned

    def expires_memories(self) -> bool:
        """Whether memories of anybody go."""
        return any(span for spans in self._everywhere() for span in spans.memories.values())

    def _memories(self, user: User) -> Mapping[Kind, timedelta]:
        merged: dict[Kind, timedelta] = {}
        for spans in reversed(list(self._of(user))):
            merged |= spans.memories
        return merged

    def _of(self, user: User) -> Iterable[RetentionPeriods]:
        """What is said of a user, the most particular first."""
        options = self._options
        for found in (
            options.users.get(f"{user.tenant}/{user.id}"),
            options.tenants.get(user.tenant),
            options,
            self._default,
        ):
            if found is not None:
                yield found

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

    @staticmethod
    def _first(spans: Iterable[timedelta | None]) -> timedelta | None:
        return next((span for span in spans if span is not None), None)
