"""Background tasks. A task names what to process, never what to write; the task queue stores it."""

from dataclasses import dataclass, field
from typing import TypeAlias

from onionskin.memory.types.messages import User


@dataclass(frozen=True, slots=True)
class SummarizeTask:
    """Summarize a session by the rules of a profile.

    Attributes:
        final: The session has ended; summarize all of it.
    """

    user: User
    session_id: str
    profile: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class EmbedTask:
    """Embed the user's messages that have no vector of the current embedder."""

    user: User


@dataclass(frozen=True, slots=True)
class RecordAccessTask:
    """Count an access for the records in a prompt.

    Attributes:
        at: Time of the turn in Unix seconds; distinguishes turns with the same records.
    """

    user: User
    record_ids: tuple[str, ...]
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class RecordUsageTask:
    """Add a turn's model tokens to the user's usage."""

    user: User
    turn_id: str
    tokens: int


@dataclass(frozen=True, slots=True)
class ExtractTask:
    """Extract records from a session by the rules of a profile.

    Attributes:
        final: Extract from all remaining messages, however few.
        quiet: Seconds without a new equal task before it runs. Tasks that differ only in this are
            equal.
    """

    user: User
    session_id: str
    profile: str
    final: bool = False
    quiet: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class AfterTurnTask:
    """Call the profile's hooks with a stored turn."""

    user: User
    turn_id: str
    profile: str


@dataclass(frozen=True, slots=True)
class SummarizeUserTask:
    """Summarize a user over all sessions."""

    user: User


Task: TypeAlias = (
    SummarizeTask
    | EmbedTask
    | RecordAccessTask
    | RecordUsageTask
    | ExtractTask
    | AfterTurnTask
    | SummarizeUserTask
)
"""Any background task."""
