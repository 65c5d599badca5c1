"""What a layer of memory is: a name, and what it puts into the prompt of a turn.

What the layers had to say to a turn.
"""

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Protocol

from onionskin.memory.errors import InvalidInputError
from onionskin.memory.retrieval import RecordIndex, UserIndex
from onionskin.memory.session_lock import SessionLock
from onionskin.memory.types.messages import User, Vector
from onionskin.memory.types.snapshot import Section, Snapshot


@dataclass(frozen=True, slots=True)
class TurnContext:
    """What a layer may know of the turn at hand.

    Attributes:
        user: whose turn it is.
        text: the user's message.
        at: its time.
        snapshot: what Redis held when the turn began.
        vector: the message's `(dim,)` unit vector; None where it could not be embedded.
        index: the user's index; None where the profile has no use for one.
        query: the `(dim,)` vector to search the index by.
        records: the user's records; None where the profile has no use for them.
        hold: the turn's claim on its session.
        held: ids of messages and records that are held back.
        apart: ids of sessions that nothing is recalled of.
        shown: ids of the messages that the layers before this one put into the prompt.
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
    shown: frozenset[str] = field(default_factory=frozenset[str])

    @property
    def excluded_messages(self) -> Container[str]:
        """The ids of messages that are not to be recalled."""
        ids = self.shown | self.quarantined_ids
        return _ExcludedMessages(ids, self.excluded_sessions) if self.excluded_sessions else ids


@dataclass(frozen=True, slots=True)
class _ExcludedMessages(Container[str]):
    """Some ids, and those of all messages of some sessions, what is being said in them too."""

    ids: frozenset[str]
    sessions: frozenset[str]

    def __contains__(self, message_id: object) -> bool:
        return message_id in self.ids or str(message_id).rpartition(":")[0] in self.sessions


def check_excluded_sessions(turn: TurnContext) -> None:
    """Refuse a turn in a session that it sets apart.

    Raises:
        InvalidInputError: it is in one.
    """
    if turn.snapshot.session.id in turn.excluded_sessions:
        raise InvalidInputError(
            "The turn's own session is in apart_from. Take it out, or name another session_id: "
            "without one, a turn is in the latest session."
        )


class Layer(Protocol):
    """One view of the transcript. Layers are loaded in the profile's order."""

    @property
    def name(self) -> str:
        """What the layer is called in profiles, answers and metrics."""
        ...

    async def load(self, turn: TurnContext) -> Section:
        """What the layer puts into the prompt of `turn`, within its token budget."""
        ...


@dataclass(frozen=True, slots=True)
class RecallResult:
    """What was recalled for a turn, and all that is needed to remember it.

    Attributes:
        degraded: what could not be used, by name; the turn goes on without it.
    """

    turn: TurnContext
    profile: str
    sections: tuple[Section, ...]
    degraded: tuple[str, ...] = ()

    @property
    def messages_unfolded(self) -> int:
        """How many messages of the session are in no summary yet."""
        session = self.turn.snapshot.session
        return session.length - session.summary_state.summarized_upto

    @property
    def vectors_pending(self) -> int:
        """How many messages of the user's index wait for their vector."""
        return self.turn.index.pending if self.turn.index else 0
