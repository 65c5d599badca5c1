"""Records: long-term memories about a user, such as facts, preferences, rules and notes."""

import hashlib
import secrets
from collections.abc import Callable, Container
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onionskin.memory.types.messages import Entry, Message

Kind: TypeAlias = Literal["fact", "preference", "rule", "entity", "relationship", "note"]
Term: TypeAlias = Literal["short", "long"]
Status: TypeAlias = Literal[
    "current",
    "superseded",
    "ended",
    "upcoming",
    "archived",
    "quarantined",
    "expired",
]
"""Whether a record is current, or why it is not: a newer record contradicts it, its validity has
ended or not begun, it is archived or quarantined, or it has expired."""
Action: TypeAlias = Literal[
    "created",
    "updated",
    "deleted",
    "restored",
    "archived",
    "promoted",
    "confirmed",
    "superseded",
]
KINDS: tuple[Kind, ...] = ("fact", "preference", "rule", "entity", "relationship", "note")
SHORT_TERM_SECONDS = 7 * 86_400.0
HISTORY_SECONDS = 30 * 86_400
"""How long a change or deletion can be undone."""

_ACCESS_RAISES, _DECIMALS = 0.02, 6
_PROMOTED_ACCESSES, _PROMOTED_IMPORTANCE = 5, 0.7


@dataclass(frozen=True, slots=True)
class Record:
    """A memory about the user. Times are Unix seconds.

    Attributes:
        revision: Number of its writes, from 1.
        topic: Its subject; a later write with the same topic replaces it.
        importance: 0 to 1; each access raises it slightly.
        expires: From this millisecond on the record is never returned; None for never.
        archived: Listed on request, but not recalled.
        pinned: Always in the prompt, within a budget; never archived or expired.
        valid_from: Start of its validity, if known.
        valid_to: End of its validity, if known.
        source: Id of the turn that it was extracted from.
        confirmed: Ids of the latest turns that repeated it.
        superseded_by: Id of the record that contradicts it.
        kept_until: End of its retention; set on reading, never stored.
    """

    id: str
    content: str
    kind: Kind
    term: Term
    created: float
    updated: float
    revision: int = 1
    topic: str | None = None
    tags: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    importance: float = 0.5
    access_count: int = 0
    last_access: float | None = None
    expires: float | None = None
    archived: bool = False
    pinned: bool = False
    valid_from: float | None = None
    valid_to: float | None = None
    source: str | None = None
    confirmed: tuple[str, ...] = ()
    superseded_by: str | None = None
    kept_until: float | None = None

    def is_alive(self, now: float) -> bool:
        """Whether it is neither expired nor past its retention."""
        if self.pinned:
            return True
        return all(until is None or now < until for until in (self.expires, self.kept_until))

    def status(self, now: float, quarantined_ids: Container[str] = frozenset()) -> Status:
        """Its status at a time; only a current record is recalled.

        Args:
            now: Unix seconds.
            quarantined_ids: Ids of quarantined entries of the user's index.
        """
        if not self.is_alive(now):
            return "expired"
        if self.archived:
            return "archived"
        if self.superseded_by is not None:
            return "superseded"
        if not self.is_valid(now):
            return "upcoming" if self.valid_to is None or now < self.valid_to else "ended"
        return "quarantined" if self.entry_id in quarantined_ids else "current"

    def is_current(self, now: float, quarantined_ids: Container[str] = frozenset()) -> bool:
        """Whether its status is `current`: the one definition for prompts, lists and searches."""
        return self.status(now, quarantined_ids) == "current"

    def is_valid(self, at: float) -> bool:
        """Whether it was true at a time, whatever is known since."""
        if self.superseded_by is not None and self.valid_to is None:
            return False
        return (self.valid_from is None or self.valid_from <= at) and (
            self.valid_to is None or at < self.valid_to
        )

    @property
    def is_always_shown(self) -> bool:
        """Whether it is in every prompt while it is current, and never archived as stale."""
        return self.pinned or self.kind in ("preference", "rule")

    @property
    def version(self) -> str:
        """A text that differs after each change of the record; accesses do not change it."""
        state = replace(
            self,
            revision=0,
            access_count=0,
            last_access=None,
            importance=0.0,
            confirmed=(),
            kept_until=None,
        )
        return hashlib.sha256(repr(state).encode()).hexdigest()[:16]

    @property
    def entry_id(self) -> str:
        """The id of its entry in an index."""
        return f"{self.id}:{self.revision}"

    @property
    def sources(self) -> tuple[str, ...]:
        """Ids of the turns that state it, the first one first."""
        return tuple(turn for turn in (self.source, *self.confirmed) if turn)

    def is_drawn_only_from(self, is_one: Callable[[str], bool]) -> bool:
        """Whether it was drawn from turns, and `is_one` accepts the ids of all of them."""
        return self.source is not None and all(map(is_one, self.sources))

    def accessed(self, times: int, now: float) -> "Record":
        """The record after `times` more accesses; a frequently used one becomes long-term."""
        importance = min(1.0, round(self.importance + _ACCESS_RAISES * times, _DECIMALS))
        accessed = replace(
            self,
            access_count=self.access_count + times,
            last_access=now,
            importance=importance,
            revision=self.revision + 1,
        )
        frequent = (
            accessed.access_count >= _PROMOTED_ACCESSES and importance >= _PROMOTED_IMPORTANCE
        )
        return accessed.promoted(now) if accessed.term == "short" and frequent else accessed

    def promoted(self, now: float) -> "Record":
        """The record as a long-term record, which does not expire."""
        return replace(self, term="long", expires=None, updated=now)

    def entry(self, vector: NDArray[np.float16] | None = None) -> Entry:
        """The record as an entry of an index, with its `(dim,)` vector."""
        return Entry(self.id, self.revision, Message("user", self.content, self.created), vector)


@dataclass(frozen=True, slots=True)
class RecordChange:
    """One entry of a record's history.

    Attributes:
        at: Unix seconds.
        action: Kind of change.
        record: The record before a deletion; after any other change.
    """

    at: float
    action: Action
    record: Record


@dataclass(frozen=True, slots=True)
class StaleFilter:
    """Selects stale records: those that meet every given condition.

    Attributes:
        older_than: Seconds since the last access, update or creation.
        importance_below: 0 to 1.
        accesses_below: Number of accesses.
    """

    older_than: float | None = None
    importance_below: float | None = None
    accesses_below: int | None = None

    def matches(self, record: Record, now: float) -> bool:
        """Whether a record is stale."""
        last_used = max(record.created, record.updated, record.last_access or 0.0)
        return (
            (self.older_than is None or now - last_used > self.older_than)
            and (self.importance_below is None or record.importance < self.importance_below)
            and (self.accesses_below is None or record.access_count < self.accesses_below)
        )


def new_record_id() -> str:
    """A new record id: `m_` and 16 hexadecimal digits."""
    return f"m_{secrets.token_hex(8)}"
