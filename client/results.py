"""What the service answers, as frozen dataclasses with the names that the API has."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, TypeAlias, TypeVar

Kind: TypeAlias = Literal["fact", "preference", "rule", "entity", "relationship", "note"]
Term: TypeAlias = Literal["short", "long"]
OnConflict: TypeAlias = Literal["queue", "reject", "interrupt", "parallel"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of an answer that is streamed."""

    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as the model counted them."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it was said; `profile` names the memory that an answer was given with."""

    id: str
    session_id: str
    position: int
    role: Literal["user", "assistant"]
    author: str | None
    content: str
    time: datetime
    interrupted: bool = False
    profile: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled(Message):
    """A message that was recalled, and why: `parts` add up to the score."""

    score: float
    parts: dict[str, float]
    context: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LayerUse:
    """What one layer put into the prompt; messages, sessions and records by their ids."""

    layer: str
    tokens: int
    messages: tuple[str, ...]
    summary: str
    earlier_sessions: tuple[str, ...]
    recalled: tuple[Recalled, ...]
    records: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. Once it is here, the turn is stored."""

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
class Session:
    """A session and how far it is folded."""

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
    """A memory; see the API on what its fields mean."""

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


@dataclass(frozen=True, slots=True)
class Found:
    """A memory that was found, and why: `parts` add up to the score."""

    memory: Memory
    score: float
    parts: dict[str, float]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Items, and the cursor of the next page; None on the last."""

    items: tuple[T, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class UserFigures:
    """How much is stored of a user."""

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
class Receipt:
    """What was erased of a user, and when."""

    receipt_id: str
    user_id: str
    erased_at: datetime
    sessions: int
    messages: int
    memories: int
    vectors: int
    keys: int


@dataclass(frozen=True, slots=True)
class Imported:
    """How an import ended."""

    import_id: str
    lines: int
    resumed_after: int
    messages: int
    memories: int
    sessions: tuple[str, ...] = field(default=())
