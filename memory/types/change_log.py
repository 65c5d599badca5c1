"""A user's change log, which keeps cached indexes up to date."""

from dataclasses import dataclass
from typing import TypeAlias

from onionskin.memory.types.messages import Entry
from onionskin.memory.types.records import Record


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in a user's change log. `epoch` changes when the user is erased."""

    epoch: str = ""
    sequence: int = 0

    @property
    def after(self) -> "Cursor":
        """The position after the next entry."""
        return Cursor(self.epoch, self.sequence + 1)


@dataclass(frozen=True, slots=True)
class Put:
    """Messages were stored or embedded."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class DropSession:
    """A session was deleted."""

    session_id: str


@dataclass(frozen=True, slots=True)
class Abandon:
    """Messages were replaced: `messages[first:first + count]` of a session."""

    session_id: str
    first: int
    count: int

    @property
    def ids(self) -> list[str]:
        """The ids of the messages."""
        return [f"{self.session_id}:{self.first + offset}" for offset in range(self.count)]


@dataclass(frozen=True, slots=True)
class PutRecord:
    """A record was written; or deleted, if both attributes are None."""

    id: str
    record: Record | None
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class Release:
    """A message or a record was released from quarantine."""

    id: str


Change: TypeAlias = Put | DropSession | Abandon | PutRecord | Release


@dataclass(frozen=True, slots=True)
class Changes:
    """Consecutive entries of a user's change log.

    Attributes:
        since: Cursor before the entries; an empty epoch means the beginning of the log.
        cursor: Cursor after the entries.
        reload: The log no longer reaches back to `since`; everything must be read again.
        more: More entries follow; read on from `cursor`.
    """

    since: Cursor
    cursor: Cursor
    items: tuple[Change, ...] = ()
    reload: bool = False
    more: bool = False
