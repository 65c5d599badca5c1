"""What a turn reads from Redis (`Snapshot`), and what each layer adds to the prompt (`Section`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from onionskin.memory.types.change_log import Changes
from onionskin.memory.types.messages import Entry, Session, SummaryState
from onionskin.memory.types.records import Record


@dataclass(frozen=True, slots=True)
class SessionDigest:
    """An earlier session: its summary, and the last messages that are not in it."""

    session_id: str
    active: float
    summary_state: SummaryState
    tail: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that one turn needs from Redis, read atomically.

    Attributes:
        is_new: The session does not exist yet; the turn's commit creates it.
        unfolded: `messages[compacted_upto:]`, or only the newest of them if the profile needs no
            more.
        changes: Changes since the cached index; None if no index was requested.
        epoch: The user's epoch; empty if nothing is stored yet.
        time_zone: The user's time zone; empty if none is stored.
    """

    session: Session
    is_new: bool
    unfolded: tuple[Entry, ...]
    digests: tuple[SessionDigest, ...] = ()
    changes: Changes | None = None
    epoch: str = ""
    time_zone: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """A recalled message, its score and the score's parts.

    Attributes:
        context: Neighbouring messages of its session, oldest first; empty unless requested.
        passages: Start and end of the passages of a long message that were ranked, in characters,
            the best first; empty for other messages.
        spans: Start and end of what `entry` quotes of a long message, in order; empty for a whole
            message.
    """

    entry: Entry
    score: float
    parts: Mapping[str, float]
    context: tuple[Entry, ...] = ()
    passages: tuple[tuple[int, int], ...] = ()
    spans: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Section:
    """What one layer adds to the prompt.

    Attributes:
        tokens: Estimated size in tokens.
        messages: Messages of this session, oldest first.
        text: Prose about this session.
        digests: Earlier sessions, latest first.
        hits: Recalled messages, best first.
        records: Recalled records; those that are always shown come first.
        missing: Name of a dependency that failed; empty for none.
        shortened: Ids of messages that show only their head and tail.
    """

    layer: str
    tokens: int = 0
    messages: tuple[Entry, ...] = ()
    text: str = ""
    digests: tuple[SessionDigest, ...] = ()
    hits: tuple[Hit, ...] = ()
    records: tuple[Record, ...] = ()
    missing: str = ""
    shortened: tuple[str, ...] = ()

    @cached_property
    def quoted_ids(self) -> tuple[str, ...]:
        """Ids of the messages of this and of earlier sessions that the prompt quotes."""
        ids = [entry.id for entry in self.messages]
        for digest in self.digests:
            ids += [entry.id for entry in digest.tail]
        return tuple(ids)

    def ids_shown(self) -> set[str]:
        """Ids of all messages in the section, including recalled ones and their context.

        Without shortened ones: what they lack can still be recalled.
        """
        ids = set(self.quoted_ids).difference(self.shortened)
        for hit in self.hits:
            ids.add(hit.entry.id)
            ids.update(entry.id for entry in hit.context)
        return ids
