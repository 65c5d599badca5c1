"""What is due after an answer: what to look at, never what to write. It is noted in the agenda."""

from dataclasses import dataclass, field
from typing import TypeAlias

from onionskin.memory.types.messages import User


@dataclass(frozen=True, slots=True)
class SummarizeTask:
    """A session that should be folded after the answer, by the rules of a profile.

    Attributes:
        final: nothing more will be said in it; all of it is folded.
    """

    user: User
    session_id: str
    profile: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class EmbedTask:
    """A user with messages that have no vector of the embedder in use."""

    user: User


@dataclass(frozen=True, slots=True)
class RecordAccessTask:
    """Records that a prompt showed.

    Attributes:
        at: when, Unix seconds; tells two turns that showed the same apart.
    """

    user: User
    record_ids: tuple[str, ...]
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class RecordUsageTask:
    """What a turn used of the model."""

    user: User
    turn_id: str
    tokens: int


@dataclass(frozen=True, slots=True)
class ExtractTask:
    """A session that records should be drawn from, by the rules of a profile.

    Attributes:
        final: whatever is left is drawn from, be it ever so little.
        quiet: seconds for which nothing like it must have come up before it is done; two that
            differ in nothing else are one.
    """

    user: User
    session_id: str
    profile: str
    final: bool = False
    quiet: float = field(default=0.0, compare=False)


Task: TypeAlias = SummarizeTask | EmbedTask | RecordAccessTask | RecordUsageTask | ExtractTask
"""Work for after the answer."""
