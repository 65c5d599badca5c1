"""What the layers had to say to a turn."""

from dataclasses import dataclass

from memory.layer import Turn
from memory.types import Section


@dataclass(frozen=True, slots=True)
class Recollection:
    """What was recalled for a turn, and all that is needed to remember it.

    Attributes:
        degraded: what could not be used, by name; the turn goes on without it.
    """

    turn: Turn
    profile: str
    sections: tuple[Section, ...]
    degraded: tuple[str, ...] = ()

    @property
    def messages_unfolded(self) -> int:
        """How many messages of the session are in no summary yet."""
        session = self.turn.snapshot.session
        return session.length - session.fold.summarized_upto

    @property
    def vectors_pending(self) -> int:
        """How many messages of the user's index wait for their vector."""
        return self.turn.index.pending if self.turn.index else 0
