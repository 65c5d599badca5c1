"""Memories as they come in and go out over HTTP.

Why a memory is believed, as it goes out over HTTP.

Quarantine as it comes in and goes out over HTTP.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    model_validator,
)

from onionskin.memory.records.provenance import Provenance
from onionskin.memory.store.transcripts import StoredTurn
from onionskin.memory.types.messages import Entry
from onionskin.memory.types.records import Action, Kind, Record, RecordChange, Term
from onionskin.service.schemas import ChatMessage, Metadata, utc


def _plain(text: str) -> str:
    if "\0" in text or not text.strip():
        raise ValueError("may not be blank nor hold a NUL character")
    return text


def _distinct(values: list[str]) -> list[str]:
    return list(dict.fromkeys(values))


Content = Annotated[
    str,
    Field(min_length=1, max_length=8192, examples=["Is allergic to peanuts."]),
    AfterValidator(_plain),
]
Label = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_plain)]
Tags = Annotated[list[Label], Field(max_length=32), AfterValidator(_distinct)]
Topic = Annotated[
    str,
    Field(
        min_length=1,
        max_length=128,
        description="What it is about: a later write with the same topic replaces it.",
    ),
    AfterValidator(_plain),
]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
MemoryId = Annotated[
    str,
    Field(
        pattern=r"^m_[0-9a-f]{16}$",
        description="As an answer gave it.",
        examples=["m_5f0c61b54bd9a7e3"],
    ),
]
TurnId = Annotated[str, Field(pattern=r"^s_[0-9a-f]{16}\.[0-9]{1,9}$")]


class Body(BaseModel):
    """What comes in: nothing but what is named here."""

    model_config = ConfigDict(extra="forbid")

    def fields(self) -> dict[str, Any]:
        """What was given, as a record names and holds it."""
        given = self.model_dump(exclude_unset=True)
        for name, value in given.items():
            if isinstance(value, datetime):
                given[name] = value.timestamp()
            elif name in ("tags", "entities"):
                given[name] = tuple(value)
        return given


class NewMemory(Body):
    """A memory to keep."""

    content: Content
    kind: Kind = "fact"
    term: Term = Field(
        default="long", description="`short` expires, after seven days unless told when."
    )
    topic: Topic | None = None
    tags: Tags = []
    entities: Tags = []
    metadata: Metadata = {}
    importance: Share = 0.5
    pinned: bool = Field(default=False, description="Always in the prompt, within a budget.")
    expires: AwareDatetime | None = None
    valid_from: AwareDatetime | None = None
    valid_to: AwareDatetime | None = None
    source: TurnId | None = Field(default=None, description="The turn that it came from.")


class NewMemories(Body):
    """Memories to keep, all or none."""

    memories: list[NewMemory] = Field(min_length=1, max_length=100)


class MemoryPatch(Body):
    """What to change of a memory; what is left out stays."""

    content: Content = ""
    kind: Kind = "fact"
    term: Term = "long"
    topic: Topic | None = None
    tags: Tags = []
    entities: Tags = []
    metadata: Metadata = {}
    importance: Share = 0.5
    pinned: bool = False
    archived: bool = False
    expires: AwareDatetime | None = None
    valid_from: AwareDatetime | None = None
    valid_to: AwareDatetime | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> "MemoryPatch":
        if not self.model_fields_set:
            raise ValueError("name at least one field to change")
        return self


class MemoryInfo(BaseModel):
    """A memory."""

    id: str
    content: str
    kind: Kind
    term: Term
    revision: int = Field(description="Counts its changes.")
    topic: str | None
    tags: list[str]
    entities: list[str]
    metadata: dict[str, JsonValue]
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
    source: str | None = Field(description="The turn that it came from.")
    confirmed: list[str] = Field(description="The latest turns that said it again.")
    superseded_by: str | None = Field(description="The memory that contradicts it.")

    @classmethod
    def of(cls, record: Record) -> "MemoryInfo":
        """The schema of a record."""
        times = {
            name: None if at is None else utc(at)
            for name in ("last_access", "expires", "valid_from", "valid_to")
            for at in [getattr(record, name)]
        }
        return cls(
            id=record.id,
            content=record.content,
            kind=record.kind,
            term=record.term,
            revision=record.revision,
            topic=record.topic,
            tags=list(record.tags),
            entities=list(record.entities),
            metadata=record.metadata,
            importance=record.importance,
            access_count=record.access_count,
            created=utc(record.created),
            updated=utc(record.updated),
            archived=record.archived,
            pinned=record.pinned,
            source=record.source,
            confirmed=list(record.confirmed),
            superseded_by=record.superseded_by,
            **times,
        )


class MemoryList(BaseModel):
    """Memories."""

    memories: list[MemoryInfo]


class MemoryPage(MemoryList):
    """A page of memories, the newest first."""

    next_cursor: str | None


class MemoryStats(BaseModel):
    """How many memories there are, and of what sort."""

    total: int
    archived: int
    pinned: int
    by_kind: dict[str, int]
    by_term: dict[str, int]
    unembedded: int = Field(description="Found by words alone until they have a vector.")


class HistoryStep(BaseModel):
    """What was done to a memory, and how it was then."""

    at: datetime
    action: Action
    memory: MemoryInfo

    @classmethod
    def of(cls, step: RecordChange) -> "HistoryStep":
        """The schema of a step."""
        return cls(at=utc(step.at), action=step.action, memory=MemoryInfo.of(step.record))


class MemoryHistory(BaseModel):
    """The last thirty days of a memory, the oldest step first."""

    steps: list[HistoryStep]


class RestoreRequest(Body):
    """To which revision; left out, its deletion or its last change is undone."""

    revision: int | None = Field(default=None, ge=1, le=1_000_000_000)


class SourceTurn(BaseModel):
    """A turn that says it."""

    turn_id: str
    said: ChatMessage | None = Field(description="None once the turn was deleted.")
    replied: ChatMessage | None

    @classmethod
    def of(cls, turn_id: str, turn: StoredTurn | None) -> "SourceTurn":
        """The schema of a turn."""
        said = ChatMessage.of(turn.said) if turn else None
        replied = ChatMessage.of(turn.replied) if turn and turn.replied else None
        return cls(turn_id=turn_id, said=said, replied=replied)


class MemoryReasons(BaseModel):
    """Why a memory is believed."""

    memory: MemoryInfo
    turns: list[SourceTurn] = Field(
        description="The turn that it came from, and the latest that said it again; none for a "
        "memory that was written by hand."
    )
    supersedes: list[MemoryInfo] = Field(description="What it made untrue.")
    superseded_by: MemoryInfo | None = Field(description="What made it untrue.")

    @classmethod
    def of(cls, found: Provenance) -> "MemoryReasons":
        """The schema of the reasons."""
        newer = found.superseded_by
        return cls(
            memory=MemoryInfo.of(found.record),
            turns=[SourceTurn.of(one, turn) for one, turn in found.turns.items()],
            supersedes=[MemoryInfo.of(one) for one in found.supersedes],
            superseded_by=MemoryInfo.of(newer) if newer else None,
        )


HeldId = Annotated[str, Field(pattern=r"^(s_[0-9a-f]{16}:[0-9]{1,9}|m_[0-9a-f]{16})$")]


class HeldText(BaseModel):
    """A message or a memory that is kept, but shown to no model."""

    id: str = Field(description="`<session id>:<position>` of a message, or the id of a memory.")
    kind: Literal["message", "memory"]
    content: str
    at: datetime

    @classmethod
    def of(cls, entry: Entry) -> "HeldText":
        """The schema of what is held."""
        memory = entry.session_id.startswith("m_")
        return cls(
            id=entry.session_id if memory else entry.id,
            kind="memory" if memory else "message",
            content=entry.message.content,
            at=utc(entry.message.at),
        )


class Held(BaseModel):
    """All that is held of a user, the latest first."""

    held: list[HeldText]


class ReleaseRequest(Body):
    """What to release."""

    ids: list[HeldId] = Field(min_length=1, max_length=100)


class Released(BaseModel):
    """How many were released now."""

    released: int
