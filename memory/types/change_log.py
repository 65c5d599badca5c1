"""A user's change log, as views read it: what came, what went, up to where."""

from dataclasses import dataclass
from typing import TypeAlias

from onionskin.memory.types.messages import Entry
from onionskin.memory.types.records import Record


@dataclass(frozen=True, slots=True)
class Cursor:
    """Up to where a view has read a user's change log. `epoch` changes when a user is erased."""

    epoch: str = ""
    sequence: int = 0

    @property
    def after(self) -> "Cursor":
        """The place after the next entry of the log."""
        return Cursor(self.epoch, self.sequence + 1)


@dataclass(frozen=True, slots=True)
class Put:
    """Messages were stored, or their vectors came."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class DropSession:
    """A session was deleted."""

    session_id: str


@dataclass(frozen=True, slots=True)
class PutRecord:
    """A record was written, or deleted: then both are None."""

    id: str
    record: Record | None
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class Release:
    """A message or a record was released from quarantine."""

    id: str


Change: TypeAlias = Put | DropSession | PutRecord | Release


@dataclass(frozen=True, slots=True)
class Changes:
    """A stretch of a user's change log.

    Attributes:
        since: the cursor it follows on. An empty epoch means: from the beginning.
        cursor: the cursor after it.
        reload: the log no longer reaches back to `since`; read everything anew.
        more: further changes follow; ask again from `cursor`.
    """

    since: Cursor
    cursor: Cursor
    items: tuple[Change, ...] = ()
    reload: bool = False
    more: bool = False
