"""The protocol of memory layers, with a layer's input and the result of all layers."""

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Protocol

from onionskin.memory.layers.transcript import SessionTranscript
from onionskin.memory.retrieval import RecordIndex, UserIndex
from onionskin.memory.retrieval.language.dates import Today
from onionskin.memory.session_lock import SessionLock
from onionskin.memory.time_zones import UNKNOWN_ZONE, TimeZone, local_day
from onionskin.memory.types.messages import ToolResult, ToolRound, User, Vector
from onionskin.memory.types.snapshot import Section, Snapshot


@dataclass(frozen=True, slots=True)
class TurnContext:
    """A turn, as layers see it.

    Attributes:
        user: The user.
        text: The user's message.
        at: Its time, Unix seconds.
        snapshot: The data that Redis had when the turn began.
        vector: `(dim,)` unit vector of the message; None if it was not embedded in time.
        index: The user's index; None if the profile needs none.
        query: `(dim,)` vector for searching the index.
        records: The user's records; None if the profile needs none.
        lock: The turn's lock on its session.
        quarantined_ids: Ids of quarantined messages and records.
        excluded_sessions: Ids of sessions that nothing is recalled from.
        earlier: Messages of the user before `text` that belong to the turn.
        rounds: Answers of the turn that called tools, with the results.
        results: Results of calls of the turn before, which came with this turn.
        metadata: JSON that the client gave to its message; empty for none.
        replaces_from: Position in the session from which on the turn replaces the messages; None if
            it replaces none.
        turn_position: Position of the turn's first message, if the user's messages are stored
            already; None if they are not.
        stored_rounds: How many of `rounds` are stored already.
        shown: Ids of the messages that earlier layers put into the prompt in full.
        shortened: Ids of the messages that they show with head and tail alone.
        zone: The user's time zone.
        shown_from: Position in the session from which on the client shows the messages itself; None
            if it shows none of them, or the profile shows its window instead.
        transcript: Reads any messages of the session.
    """

    user: User
    text: str
    at: float
    snapshot: Snapshot
    vector: Vector | None = None
    index: UserIndex | None = None
    query: Vector | None = None
    records: RecordIndex | None = None
    lock: SessionLock | None = None
    quarantined_ids: frozenset[str] = frozenset()
    excluded_sessions: frozenset[str] = frozenset()
    earlier: tuple[str, ...] = ()
    rounds: tuple[ToolRound, ...] = ()
    results: tuple[ToolResult, ...] = ()
    metadata: str = ""
    replaces_from: int | None = None
    turn_position: int | None = None
    stored_rounds: int = 0
    shown: frozenset[str] = field(default_factory=frozenset[str])
    shortened: frozenset[str] = frozenset()
    zone: TimeZone = UNKNOWN_ZONE
    shown_from: int | None = None
    transcript: SessionTranscript | None = None

    @property
    def utc_offset(self) -> int | None:
        """The offset of the user's clock, in seconds; None if unknown."""
        return self.zone.offset_at(self.at)

    @property
    def today(self) -> Today:
        """The user's day."""
        offset = self.utc_offset
        return Today(local_day(self.at, offset), offset)

    @property
    def excluded_messages(self) -> Container[str]:
        """Ids of messages that must not be recalled."""
        ids = self.shown | self.quarantined_ids
        if not self.excluded_sessions and self.begin is None:
            return ids
        return _ExcludedMessages(ids, self.excluded_sessions, self)

    @property
    def begin(self) -> int | None:
        """Position from which on the session's messages belong to this turn, or are replaced."""
        if self.turn_position is None or self.replaces_from is None:
            return self.replaces_from if self.turn_position is None else self.turn_position
        return min(self.turn_position, self.replaces_from)

    def is_own(self, session_id: str, position: int) -> bool:
        """Whether a message belongs to this turn, or is replaced by it."""
        begin = self.begin
        if begin is None or session_id != self.snapshot.session.id:
            return False
        return position >= begin


@dataclass(frozen=True, slots=True)
class _ExcludedMessages(Container[str]):
    """Some ids, those of all messages of some sessions, and those of the turn itself."""

    ids: frozenset[str]
    sessions: frozenset[str]
    turn: TurnContext

    def __contains__(self, message_id: object) -> bool:
        if message_id in self.ids:
            return True
        session_id, _, position = str(message_id).rpartition(":")
        return session_id in self.sessions or self.turn.is_own(session_id, int(position))


class Layer(Protocol):
    """One kind of memory. Layers are loaded in the profile's order."""

    @property
    def name(self) -> str:
        """The layer's name in profiles, answers and metrics."""
        ...

    async def load(self, turn: TurnContext) -> Section:
        """The layer's part of the prompt, within its token budget."""
        ...


@dataclass(frozen=True, slots=True)
class RecallResult:
    """What was recalled for a turn, with the data for storing it.

    Attributes:
        turn: The turn.
        profile: The profile's name.
        sections: What each layer puts into the prompt.
        degraded: Names of components that this turn did without.
        longest_message: Most tokens of the user's message in the prompt; None for any number.
    """

    turn: TurnContext
    profile: str
    sections: tuple[Section, ...]
    degraded: tuple[str, ...] = ()
    longest_message: int | None = None

    @property
    def messages_unfolded(self) -> int:
        """Number of messages of the session that no summary covers yet."""
        session = self.turn.snapshot.session
        return session.length - session.summary_state.summarized_upto

    @property
    def vectors_pending(self) -> int:
        """Number of messages of the user's index that have no vector yet."""
        return 0 if self.turn.index is None else self.turn.index.pending
