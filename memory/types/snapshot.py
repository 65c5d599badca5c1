"""What a turn reads from Redis, and what the layers make of it for the prompt."""

from collections.abc import Mapping
from dataclasses import dataclass

from onionskin.memory.types.change_log import Changes
from onionskin.memory.types.messages import Entry, Session, SummaryState
from onionskin.memory.types.records import Record


@dataclass(frozen=True, slots=True)
class SessionDigest:
    """What an earlier session left: its fold, and its last messages as far as they are unfolded."""

    session_id: str
    active: float
    summary_state: SummaryState
    tail: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that one turn needs from Redis, of one instant.

    Attributes:
        is_new: the session does not exist yet; the turn's commit creates it.
        unfolded: `messages[folded_upto:]`, or their tail where the profile asks for no more.
        changes: what the user's index view has missed; None when no view was asked for.
        epoch: the user's; empty where nothing of them is stored yet.
    """

    session: Session
    is_new: bool
    unfolded: tuple[Entry, ...]
    digests: tuple[SessionDigest, ...] = ()
    changes: Changes | None = None
    epoch: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """A recalled message, its score, and the parts the score is made of.

    Attributes:
        context: the messages around it in its session, oldest first, where they were asked for.
    """

    entry: Entry
    score: float
    parts: Mapping[str, float]
    context: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """What one layer puts into the prompt.

    Attributes:
        tokens: the estimated size of it all.
        messages: said in this session, verbatim, oldest first.
        text: running prose about this session.
        digests: what earlier sessions left.
        hits: recalled messages, best first.
        records: recalled records, the ones that are always shown first.
        missing: what the layer had to do without, by name; empty for nothing.
    """

    layer: str
    tokens: int = 0
    messages: tuple[Entry, ...] = ()
    text: str = ""
    digests: tuple[SessionDigest, ...] = ()
    hits: tuple[Hit, ...] = ()
    records: tuple[Record, ...] = ()
    missing: str = ""

    def messages_shown(self) -> tuple[Entry, ...]:
        """The messages of this and of earlier sessions that the prompt shows in full."""
        return self.messages + tuple(entry for digest in self.digests for entry in digest.tail)

    def ids_shown(self) -> frozenset[str]:
        """The ids of all messages in the section, including recalled ones and their context."""
        recalled = tuple(entry for hit in self.hits for entry in (hit.entry, *hit.context))
        return frozenset(entry.id for entry in self.messages_shown() + recalled)
