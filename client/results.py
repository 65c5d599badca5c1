"""Answers of the service as frozen dataclasses, with the field names of the API."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from types import NoneType, UnionType
from typing import (
    Any,
    Generic,
    Literal,
    TypeAlias,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

Kind: TypeAlias = Literal["fact", "preference", "rule", "entity", "relationship", "note"]
Status: TypeAlias = Literal[
    "current",
    "superseded",
    "ended",
    "upcoming",
    "archived",
    "quarantined",
    "expired",
]
Term: TypeAlias = Literal["short", "long"]
Role: TypeAlias = Literal["user", "assistant"]
OnConflict: TypeAlias = Literal["queue", "reject", "interrupt", "parallel"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a streamed answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts as the model reports them."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call of an answer; `arguments` is JSON as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of a tool call."""

    call_id: str
    name: str
    content: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a transcript; `profile` is the memory profile that produced an answer."""

    id: str
    session_id: str
    position: int
    role: Literal["user", "assistant"]
    author: str | None
    content: str
    time: datetime
    interrupted: bool = False
    profile: str | None = None
    calls: tuple[ToolCall, ...] = ()
    results: tuple[ToolResult, ...] = ()
    refused: bool = False
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    unanswered: bool = False
    abandoned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled(Message):
    """A recalled message; `parts` add up to the score."""

    score: float
    parts: dict[str, float]
    context: tuple[str, ...]
    spans: tuple[tuple[int, int], ...] = ()
    full_text: str | None = None


@dataclass(frozen=True, slots=True)
class LayerUse:
    """Content that one layer added to the prompt; messages, sessions and records by id."""

    layer: str
    tokens: int
    messages: tuple[str, ...]
    summary: str
    earlier_sessions: tuple[str, ...]
    recalled: tuple[Recalled, ...]
    records: tuple[str, ...]
    shortened: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. The turn is stored before it is returned."""

    reply: str
    session_id: str
    turn_id: str
    profile: str
    new_session: bool
    usage: Usage | None
    memory: tuple[LayerUse, ...] = ()
    degraded: tuple[str, ...] = ()
    interrupted: bool = False
    messages_unfolded: int = 0
    vectors_pending: int = 0


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """A message of a prompt."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: tuple[dict[str, Any], ...] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """The memory for a message: as messages for a model, and as one fenced text."""

    session_id: str | None
    profile: str
    text: str
    prompt: tuple[PromptMessage, ...]
    tokens: int
    memory: tuple[LayerUse, ...]
    degraded: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MessageHit:
    """A message that matches a search; `parts` add up to the score.

    Attributes:
        similarity: Cosine of the vectors of message and query; None where one has none.
        context: Neighbouring messages, if requested.
        passages: Of a long message, start and end of its best passages, in characters.
        vector: Unit vector of the message, if requested.
    """

    message: Message
    similarity: float | None
    score: float
    parts: dict[str, float]
    context: tuple[Message, ...] = ()
    passages: tuple[tuple[int, int], ...] = ()
    vector: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """An appended message and where it is stored; a `duplicate` was stored before."""

    id: str
    position: int
    turn_id: str | None
    client_id: str | None
    status: Literal["stored", "duplicate"]


@dataclass(frozen=True, slots=True)
class Appended:
    """The messages of an append, one for each of the request."""

    session_id: str
    new_session: bool
    length: int
    messages: tuple[StoredMessage, ...]


@dataclass(frozen=True, slots=True)
class Session:
    """A session and how far it is summarized."""

    session_id: str
    title: str
    profile: str
    created: datetime
    active: datetime
    messages: int
    folded_upto: int
    summary: str
    closed: bool
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Memory:
    """A memory; the API reference explains its fields."""

    id: str
    content: str
    kind: Kind
    term: Term
    revision: int
    topic: str | None
    tags: tuple[str, ...]
    entities: tuple[str, ...]
    metadata: dict[str, Any]
    importance: float
    access_count: int
    last_access: datetime | None
    created: datetime
    updated: datetime
    expires: datetime | None
    archived: bool
    pinned: bool
    valid_from: datetime | None
    valid_to: datetime | None
    source: str | None
    confirmed: tuple[str, ...]
    superseded_by: str | None
    status: Status | None = None


@dataclass(frozen=True, slots=True)
class MemoryHit:
    """A search result; `parts` add up to the score."""

    memory: Memory
    score: float
    parts: dict[str, float]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Items and the cursor of the next page; None on the last page."""

    items: tuple[T, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class UserFigures:
    """Amount of data stored for a user."""

    user_id: str
    sessions: int
    open_sessions: int
    messages: int
    summaries: int
    memories: int
    vectors: int
    size_bytes: int
    extraction: dict[str, int]
    first_activity: datetime | None
    last_activity: datetime | None


@dataclass(frozen=True, slots=True)
class UserSummary:
    """A summary of a user over all sessions."""

    user_id: str
    text: str
    source: Literal["model", "extract"]
    made: datetime
    sessions: int
    memories: int
    pending: bool


@dataclass(frozen=True, slots=True)
class ErasureReceipt:
    """Amount of data erased for a user, and when."""

    receipt_id: str
    user_id: str
    erased_at: datetime
    sessions: int
    messages: int
    memories: int
    vectors: int
    keys: int


@dataclass(frozen=True, slots=True)
class ImportedSession:
    """What an import did for one `session` label."""

    label: str
    session_id: str
    status: Literal["created", "continued"]
    messages: int


@dataclass(frozen=True, slots=True)
class ImportResult:
    """Counts of a finished import."""

    import_id: str
    lines: int
    resumed_after: int
    messages: int
    memories: int
    sessions: tuple[str, ...] = field(default=())
    by_label: tuple[ImportedSession, ...] = field(default=())


def decode(kind: type[T], data: Any) -> T:
    """A result of type `kind` from decoded JSON; unknown fields are ignored.

    Raises:
        ValueError: A field is missing, or a time has no valid format.
    """
    hints = get_type_hints(kind)
    known = {field.name for field in fields(kind)}  # pyright: ignore[reportArgumentType]
    values = {name: _value(hints[name], value) for name, value in data.items() if name in known}
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"An answer is no {kind.__name__}: {error}.") from error


def decoder(kind: type[T]) -> Callable[[Any], T]:
    """`decode` for one type."""
    return lambda data: decode(kind, data)


def _value(hint: Any, data: Any) -> Any:
    if get_origin(hint) is UnionType:
        (hint,) = (option for option in get_args(hint) if option is not NoneType)
        return None if data is None else _value(hint, data)
    if hint is datetime:
        return datetime.fromisoformat(data)
    if get_origin(hint) is tuple:
        return tuple(_value(get_args(hint)[0], item) for item in data)
    return decode(hint, data) if is_dataclass(hint) and isinstance(hint, type) else data
