"""Users, messages and sessions, as frozen dataclasses.

Times are Unix seconds (UTC). A position is a message's index in its session.
"""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onionskin.memory.types.branches import NONE_ABANDONED, Abandoned

Role: TypeAlias = Literal["user", "assistant"]
Vector: TypeAlias = NDArray[np.float32]
"""`(dim,)` float32, unit length."""
Vectors: TypeAlias = NDArray[np.float32]
"""`(n, dim)` float32, rows of unit length."""
_READABLE_CHARACTERS = 600


@dataclass(frozen=True, slots=True)
class User:
    """The owner of a memory. `tenant` separates the users of several customers."""

    id: str
    tenant: str = "default"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call in an answer of the model; `arguments` is JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of a tool call; `call_id` is the id of its `ToolCall`."""

    call_id: str
    name: str
    content: str


@dataclass(frozen=True, slots=True)
class ToolRound:
    """An answer that called tools, and the results of the calls."""

    text: str
    calls: tuple[ToolCall, ...]
    results: tuple[ToolResult, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a turn: text, tool calls, a refusal, or the beginning of one of them.

    Attributes:
        text: The text, or structured output as its text.
        calls: The tool calls that the answer ends in.
        refused: Whether `text` is a refusal of the model.
        interrupted: Whether the answer was stopped before its end.
    """

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    refused: bool = False
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the user or the assistant.

    Attributes:
        at: Unix seconds.
        author: The speaker's name, if known.
        interrupted: Whether an answer was stopped before its end.
        profile: Memory profile that an answer was made with; empty if unknown.
        calls: Tool calls of an answer.
        results: Results of the calls of the answer before, which the model read for this answer.
        refused: Whether `content` is a refusal of the model.
        metadata: JSON of the client; empty for none.
        utc_offset: Offset of the speaker's clock from UTC, in seconds; None if unknown.
    """

    role: Role
    content: str
    at: float
    author: str | None = None
    interrupted: bool = False
    profile: str = ""
    calls: tuple[ToolCall, ...] = ()
    results: tuple[ToolResult, ...] = ()
    refused: bool = False
    metadata: str = ""
    utc_offset: int | None = None

    @property
    def spoken(self) -> str:
        """The text that is indexed and embedded: `author: content`."""
        text = self.readable
        return f"{self.author}: {text}" if self.author else text

    @property
    def readable(self) -> str:
        """The text, with tool calls and their results as text."""
        if not self.calls and not self.results:
            return self.content
        lines = [
            f"{result.name or 'tool'} returned: {_beginning(result.content)}"
            for result in self.results
        ]
        lines.append(self.content)
        lines += [f"called {call.name}({_beginning(call.arguments)})" for call in self.calls]
        return "\n".join(filter(None, lines))


def _beginning(text: str) -> str:
    """The first characters of a text, with a note of how many follow."""
    more = len(text) - _READABLE_CHARACTERS
    return text if more <= 0 else f"{text[:_READABLE_CHARACTERS]} [... {more:,} characters omitted]"


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored message: its session, position and vector.

    Attributes:
        vector: `(dim,)` float16 of the current embedder, `(passages, dim)` for a long message
            whose passages are embedded; None until the message is embedded.
    """

    session_id: str
    position: int
    message: Message
    vector: NDArray[np.float16] | None = None

    @property
    def id(self) -> str:
        """`<session_id>:<position>`, unique to the user."""
        return f"{self.session_id}:{self.position}"


def begins_turn(previous: Entry, entry: Entry) -> bool:
    """Whether a turn begins at `entry`: the user speaks after the assistant."""
    return entry.message.role == "user" and previous.message.role == "assistant"


def live_entries(entries: tuple[Entry, ...], abandoned: Abandoned) -> tuple[Entry, ...]:
    """The entries of one session that are not abandoned."""
    if not abandoned:
        return entries
    return tuple(entry for entry in entries if entry.position not in abandoned)


@dataclass(frozen=True, slots=True)
class SummaryState:
    """How far a session is summarized.

    `messages[:summarized_upto]` are in `summary`, written by the model.
    `messages[summarized_upto:compacted_upto]` are in `fallback_summary`, an extract that the model
    replaces later.
    """

    compacted_upto: int = 0
    summarized_upto: int = 0
    summary: str = ""
    fallback_summary: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """The state of a session. Times are Unix seconds.

    Attributes:
        profile: Memory profile of the last turn, or of the session's creation.
        continued_from: Sessions whose digests its first prompt contained.
        extracted_upto: Records were extracted from `messages[:extracted_upto]`.
        metadata: JSON of the client; empty for none.
        length: Number of its messages, abandoned ones included.
        abandoned: Which of them were replaced, and are not part of the conversation any more.
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
    abandoned: Abandoned = NONE_ABANDONED

    @property
    def live_count(self) -> int:
        """Number of live messages."""
        return self.abandoned.count_live(0, self.length)


@dataclass(frozen=True, slots=True)
class Committed:
    """A commit: position of its first message, and length of the session after it.

    Attributes:
        sequence: Number of its entry in the user's change log; 0 if it was stored before.
        turn_position: Position of the turn's first message, if this commit continues the turn.
    """

    session_id: str
    position: int
    length: int
    sequence: int = field(default=0, compare=False)
    turn_position: int | None = field(default=None, compare=False)

    @property
    def turn_id(self) -> str:
        """`<session_id>.<position of the user's first message>`."""
        first = self.position if self.turn_position is None else self.turn_position
        return f"{self.session_id}.{first}"


@dataclass(frozen=True, slots=True)
class ImportStep:
    """One batch of an import: the stored lines before and after it."""

    import_id: str
    lines_before: int
    lines_after: int
