"""Request and response bodies for memories, their provenance, preferences and quarantine."""

from collections import Counter
from collections.abc import Callable, Container
from datetime import datetime
from statistics import fmean
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    model_validator,
)

from onionskin.memory.records.provenance import Provenance
from onionskin.memory.retrieval import RecordIndex
from onionskin.memory.store import StoredTurn
from onionskin.memory.time_zones import aware_time
from onionskin.memory.types.messages import Entry
from onionskin.memory.types.records import Action, Kind, Record, RecordChange, Status, Term
from onionskin.service.schemas import BoundedTime, ChatMessage, Metadata, utc


def _plain(text: str) -> str:
    if "\0" in text or not text.strip():
        raise ValueError("must not be blank or contain a NUL character")
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
        description="Subject of the memory: a later memory with the same topic replaces it.",
    ),
    AfterValidator(_plain),
]
CategoryName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$", examples=["diet"])]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
MemoryId = Annotated[
    str,
    Field(
        pattern=r"^m_[0-9a-f]{16}$",
        description="Id of a memory, from an earlier answer.",
        examples=["m_5f0c61b54bd9a7e3"],
    ),
]
TurnId = Annotated[str, Field(pattern=r"^s_[0-9a-f]{16}\.[0-9]{1,9}$")]


class Body(BaseModel):
    """A request body that rejects unknown fields."""

    model_config = ConfigDict(extra="forbid")

    def fields(self) -> dict[str, Any]:
        """The fields that the request sets, with the names and types of a record."""
        values = self.model_dump(exclude_unset=True)
        for name, value in values.items():
            if isinstance(value, datetime):
                values[name] = value.timestamp()
            elif name in ("tags", "entities"):
                values[name] = tuple(value)
        return values


class NewMemory(Body):
    """A memory to create."""

    content: Content
    kind: Kind = "fact"
    term: Term = Field(
        default="long", description="`short` expires: at `expires`, or else after seven days."
    )
    topic: Topic | None = None
    tags: Tags = []
    entities: Tags = []
    metadata: Metadata = {}
    importance: Share = 0.5
    pinned: bool = Field(default=False, description="In every prompt, within a budget.")
    expires: BoundedTime | None = None
    valid_from: BoundedTime | None = None
    valid_to: BoundedTime | None = None
    source: TurnId | None = Field(default=None, description="The turn the memory comes from.")
    created: BoundedTime | None = Field(
        default=None, description="When another system learned it; default: now."
    )
    updated: BoundedTime | None = Field(
        default=None, description="When it was last changed there; default: `created`."
    )

    def fields(self) -> dict[str, Any]:
        """The fields that the request sets, with the names and types of a record."""
        values = {"updated": self.created, **super().fields()}
        return {
            name: value.timestamp() if isinstance(value, datetime) else value
            for name, value in values.items()
            if value is not None or name not in ("created", "updated")
        }


class NewMemories(Body):
    """Memories to create: all or none."""

    memories: list[NewMemory] = Field(min_length=1, max_length=100)


class MemoryPatch(Body):
    """Fields to change; omitted fields stay as they are."""

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
    expires: BoundedTime | None = None
    valid_from: BoundedTime | None = None
    valid_to: BoundedTime | None = None

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
    revision: int = Field(description="Increases with every change.")
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
    source: str | None = Field(description="The turn the memory comes from.")
    confirmed: list[str] = Field(description="The latest turns that repeat it.")
    superseded_by: str | None = Field(description="The newer memory that contradicts it.")
    status: Status | None = Field(
        default=None,
        description="Only a `current` memory is in prompts. `superseded`: `superseded_by` "
        "contradicts it since `valid_to`; `ended`: its validity is over; `upcoming`: it has not "
        "begun. Null for an earlier revision.",
    )

    @classmethod
    def of(
        cls,
        record: Record,
        *,
        now: float | None = None,
        quarantined_ids: Container[str] = frozenset(),
    ) -> "MemoryInfo":
        """The schema of a record.

        Args:
            record: The record.
            now: Current time in Unix seconds; None for an earlier revision.
            quarantined_ids: Ids of quarantined entries.
        """
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
            status=None if now is None else record.status(now, quarantined_ids),
            **times,
        )


class MemoryList(BaseModel):
    """Memories."""

    memories: list[MemoryInfo]


class MemoryPage(MemoryList):
    """A page of memories, newest first."""

    next_cursor: str | None


class MemoryStats(BaseModel):
    """Counts of a user's memories."""

    total: int
    archived: int
    pinned: int
    by_kind: dict[str, int]
    by_term: dict[str, int]
    average_importance: float | None = Field(description="0 to 1; null without memories.")
    unembedded: int = Field(description="Memories without a vector; only their words are searched.")

    @classmethod
    def of(cls, index: RecordIndex, *, now: float) -> "MemoryStats":
        """The counts of all memories that have not expired.

        Args:
            index: All records of the user.
            now: Current time in Unix seconds.
        """
        alive = [record for record in index if record.is_alive(now)]
        return cls(
            total=len(alive),
            archived=sum(record.archived for record in alive),
            pinned=sum(record.pinned for record in alive),
            by_kind=dict(Counter(record.kind for record in alive)),
            by_term=dict(Counter(record.term for record in alive)),
            average_importance=round(fmean(record.importance for record in alive), 4)
            if alive
            else None,
            unembedded=len(index.unembedded),
        )


class HistoryStep(BaseModel):
    """One change of a memory, and the memory after it."""

    at: datetime
    action: Action
    memory: MemoryInfo

    @classmethod
    def of(cls, change: RecordChange) -> "HistoryStep":
        """The schema of a change."""
        return cls(at=utc(change.at), action=change.action, memory=MemoryInfo.of(change.record))


class MemoryHistory(BaseModel):
    """The changes of the last thirty days, oldest first."""

    steps: list[HistoryStep]


class RestoreRequest(Body):
    """The revision to restore; without one, the deletion or the last change is undone."""

    revision: int | None = Field(default=None, ge=1, le=1_000_000_000)


class SourceTurn(BaseModel):
    """A turn that a memory comes from."""

    turn_id: str
    said: ChatMessage | None = Field(description="Null if the turn was deleted.")
    replied: ChatMessage | None

    @classmethod
    def of(cls, turn_id: str, turn: StoredTurn | None) -> "SourceTurn":
        """The schema of a turn."""
        said = ChatMessage.of(turn.message) if turn else None
        replied = ChatMessage.of(turn.reply) if turn and turn.reply else None
        return cls(turn_id=turn_id, said=said, replied=replied)


class MemoryReasons(BaseModel):
    """Provenance of a memory."""

    memory: MemoryInfo
    turns: list[SourceTurn] = Field(
        description="The turn the memory comes from, and the latest turns that repeat it; empty "
        "for a memory that was created over the API."
    )
    supersedes: list[MemoryInfo] = Field(description="Older memories that it contradicts.")
    superseded_by: MemoryInfo | None = Field(description="The newer memory that contradicts it.")

    @classmethod
    def of(cls, provenance: Provenance, info: Callable[[Record], MemoryInfo]) -> "MemoryReasons":
        """The schema of a provenance; `info` makes the schema of a record."""
        newer = provenance.superseded_by
        return cls(
            memory=info(provenance.record),
            turns=[SourceTurn.of(turn_id, turn) for turn_id, turn in provenance.turns.items()],
            supersedes=[info(record) for record in provenance.supersedes],
            superseded_by=info(newer) if newer else None,
        )


QuarantinedId = Annotated[str, Field(pattern=r"^(s_[0-9a-f]{16}:[0-9]{1,9}|m_[0-9a-f]{16})$")]


class QuarantinedText(BaseModel):
    """A message or memory that is stored but shown to no model."""

    id: str = Field(description="`<session id>:<position>` of a message, or the id of a memory.")
    kind: Literal["message", "memory"]
    content: str
    at: datetime

    @classmethod
    def of(cls, entry: Entry) -> "QuarantinedText":
        """The schema of a quarantined entry."""
        is_memory = entry.session_id.startswith("m_")
        return cls(
            id=entry.session_id if is_memory else entry.id,
            kind="memory" if is_memory else "message",
            content=entry.message.content,
            at=aware_time(entry.message.at, entry.message.utc_offset),
        )


class QuarantineList(BaseModel):
    """All quarantined texts of a user, latest first."""

    held: list[QuarantinedText]


class ReleaseRequest(Body):
    """Texts to release from quarantine."""

    ids: list[QuarantinedId] = Field(min_length=1, max_length=100)


class Released(BaseModel):
    """Number of released texts."""

    released: int
