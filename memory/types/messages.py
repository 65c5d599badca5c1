"""Users, messages and sessions, as frozen dataclasses.

Times are Unix seconds (UTC). A position is a message's index in its session.
"""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Role: TypeAlias = Literal["user", "assistant"]
Vector: TypeAlias = NDArray[np.float32]
"""`(dim,)` float32, unit length."""
Vectors: TypeAlias = NDArray[np.float32]
"""`(n, dim)` float32, rows of unit length."""


@dataclass(frozen=True, slots=True)
class User:
    """Whose memory this is. `tenant` keeps the users of several customers apart."""

    id: str
    tenant: str = "default"


@dataclass(frozen=True, slots=True)
class Message:
    """One thing said.

    Attributes:
        author: the speaker's name where there is one.
        interrupted: whether it was stopped before its end.
        profile: of the memory that an answer was given with; empty where none is known.
    """

    role: Role
    content: str
    at: float
    author: str | None = None
    interrupted: bool = False
    profile: str = ""

    @property
    def spoken(self) -> str:
        """As it is indexed and embedded: `author: content`."""
        return f"{self.author}: {self.content}" if self.author else self.content


@dataclass(frozen=True, slots=True)
class Entry:
    """A message where it stands: its session, its position, and its vector if it has one.

    Attributes:
        vector: `(dim,)` float16 of the embedder in use, or None while it has not been embedded.
    """

    session_id: str
    position: int
    message: Message
    vector: NDArray[np.float16] | None = None

    @property
    def id(self) -> str:
        """`<session_id>:<position>`, unique to the user."""
        return f"{self.session_id}:{self.position}"


@dataclass(frozen=True, slots=True)
class SummaryState:
    """How far a session is folded.

    `messages[:summarized_upto]` are in `summary`, made by a model;
    `messages[summarized_upto:folded_upto]` are in `extract`, made without one, to be redone.
    """

    compacted_upto: int = 0
    summarized_upto: int = 0
    summary: str = ""
    fallback_summary: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """How a session stands.

    Attributes:
        profile: of its last turn, or the one that it was begun with.
        follows: the sessions that its first prompt took up.
        extracted_upto: records were drawn from `messages[:extracted_upto]`.
        metadata: whatever a client noted, as JSON; empty for nothing.
    """

    id: str
    created: float
    active: float
    length: int = 0
    title: str = ""
    profile: str = ""
    closed: bool = False
    summary_state: SummaryState = field(default_factory=SummaryState)
    continued_from: tuple[str, ...] = ()
    metadata: str = ""
    extracted_upto: int = 0


@dataclass(frozen=True, slots=True)
class Committed:
    """A stored turn: where its first message stands, and how the session stands after it.

    Attributes:
        sequence: of its entry in the user's change log; 0 where it had been stored before.
    """

    session_id: str
    position: int
    length: int
    sequence: int = field(default=0, compare=False)

    @property
    def turn_id(self) -> str:
        """`<session_id>.<position of the user's message>`."""
        return f"{self.session_id}.{self.position}"


@dataclass(frozen=True, slots=True)
class ImportStep:
    """Where a batch stands in its import: lines stored before it, and after it."""

    import_id: str
    lines_before: int
    lines_after: int
