"""Records: what is known of a user apart from what was said: facts, preferences, rules, notes."""

import secrets
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onionskin.memory.types.messages import Entry, Message

Kind: TypeAlias = Literal["fact", "preference", "rule", "entity", "relationship", "note"]
Term: TypeAlias = Literal["short", "long"]
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
"""How long a change or a deletion can be undone."""

_ACCESS_RAISES, _DECIMALS = 0.02, 6
_PROMOTED_ACCESSES, _PROMOTED_IMPORTANCE = 5, 0.7


@dataclass(frozen=True, slots=True)
class Record:
    """One memory. Times are Unix seconds.

    Attributes:
        revision: counts its changes, from 1.
        topic: names what it is about: a later write with the same topic replaces it.
        importance: 0 to 1; each access raises it a little.
        expires: from this very millisecond on it is never returned; None for never.
        archived: kept and listed on request, but not recalled.
        pinned: always in the prompt, within a budget; never archived or expired.
        valid_from, valid_to: when it was true, where that is known.
        source: the id of the turn that it came from.
        confirmed: the latest turns that said it again.
        superseded_by: the id of the record that contradicts it.
        kept_until: until when the policy of retention keeps it; set when it is read, never stored.
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
        """Whether it has not expired."""
        if self.pinned:
            return True
        return all(until is None or now < until for until in (self.expires, self.kept_until))

    def is_recalled(self, now: float) -> bool:
        """Whether it may stand in a prompt: alive, not archived, and not superseded."""
        over = self.valid_to is not None and self.valid_to <= now
        return self.is_alive(now) and not self.archived and not over

    def accessed(self, times: int, now: float) -> "Record":
        """The record after it was used so often; one that is used much becomes long-term."""
        importance = min(1.0, round(self.importance + _ACCESS_RAISES * times, _DECIMALS))
        used = replace(
            self,
            access_count=self.access_count + times,
            last_access=now,
            importance=importance,
            revision=self.revision + 1,
        )
        wanted = used.access_count >= _PROMOTED_ACCESSES and importance >= _PROMOTED_IMPORTANCE
        return used.promoted(now) if used.term == "short" and wanted else used

    def promoted(self, now: float) -> "Record":
        """The record as a long-term one, which does not expire."""
        return replace(self, term="long", expires=None, updated=now)

    def entry(self, vector: NDArray[np.float16] | None = None) -> Entry:
        """As an index holds it, with its `(dim,)` vector."""
        return Entry(self.id, self.revision, Message("user", self.content, self.created), vector)


@dataclass(frozen=True, slots=True)
class RecordChange:
    """One step in a record's history.

    Attributes:
        at: when.
        action: what was done.
        record: as it was before a deletion, and as it became by any other change.
    """

    at: float
    action: Action
    record: Record


@dataclass(frozen=True, slots=True)
class StaleFilter:
    """Which records are to be archived: those that meet all that is given.

    Attributes:
        older_than: seconds since the last access, or since they were made.
        importance_below: 0 to 1.
        accesses_below: how often they were used.
    """

    older_than: float | None = None
    importance_below: float | None = None
    accesses_below: int | None = None

    def matches(self, record: Record, now: float) -> bool:
        """Whether a record is stale."""
        used = max(record.created, record.updated, record.last_access or 0.0)
        return (
            (self.older_than is None or now - used > self.older_than)
            and (self.importance_below is None or record.importance < self.importance_below)
            and (self.accesses_below is None or record.access_count < self.accesses_below)
        )


def new_record_id() -> str:
    """A fresh record id, `m_` and 16 hexadecimal digits."""
    return f"m_{secrets.token_hex(8)}"
