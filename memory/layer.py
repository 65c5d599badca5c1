"""What a layer of memory is: a name, and what it puts into the prompt of a turn."""

from dataclasses import dataclass, field
from typing import Protocol

from memory.recall.index import UserIndex
from memory.recall.record_index import RecordIndex
from memory.turns import Hold
from memory.types import Section, Snapshot, User, Vector


@dataclass(frozen=True, slots=True)
class Turn:
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
        held: ids of messages and records that are held back, of sessions set apart, and of the
            messages in these.
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
    hold: Hold | None = None
    held: frozenset[str] = frozenset()
    shown: frozenset[str] = field(default_factory=frozenset[str])


class Layer(Protocol):
    """One view of the transcript. Layers are loaded in the profile's order."""

    @property
    def name(self) -> str:
        """What the layer is called in profiles, answers and metrics."""
        ...

    async def load(self, turn: Turn) -> Section:
        """What the layer puts into the prompt of `turn`, within its token budget."""
        ...
