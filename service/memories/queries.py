"""Which memories are meant: filters, searches, thresholds."""

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from onionskin.memory.retrieval.index.record_index import RecordHit
from onionskin.memory.types.records import KINDS, Kind, Record, StaleFilter, Term
from onionskin.service.memories.schemas import Body, Label, MemoryId, MemoryInfo, Share, Tags

_DAY_SECONDS = 86_400.0


class MemoryQuery(Body):
    """Which memories of a list are wanted."""

    kind: Kind | None = None
    term: Term | None = None
    tag: Label | None = None
    since: AwareDatetime | None = Field(default=None, description="Made at this time or later.")
    until: AwareDatetime | None = Field(default=None, description="Made at this time or earlier.")
    include_archived: bool = False
    cursor: str | None = Field(
        default=None, max_length=100, description="`next_cursor` of the page before."
    )
    limit: int = Field(default=50, ge=1, le=200, description="The most items of a page.")

    def filter(self) -> "MemoryFilter":
        """The same as a filter."""
        return MemoryFilter(
            kinds=[self.kind] if self.kind else None,
            term=self.term,
            tags=[self.tag] if self.tag else [],
            since=self.since,
            until=self.until,
            include_archived=self.include_archived,
        )


class MemoryFilter(Body):
    """Which memories are meant: those that meet all that is given."""

    kinds: list[Kind] | None = Field(default=None, max_length=len(KINDS))
    term: Term | None = None
    tags: Tags = Field(default=[], description="All of them.")
    since: AwareDatetime | None = Field(default=None, description="Made at this time or later.")
    until: AwareDatetime | None = Field(default=None, description="Made at this time or earlier.")
    session_id: str | None = Field(default=None, description="Came from a turn of this session.")
    include_archived: bool = False

    def admits(self, record: Record) -> bool:
        """Whether a memory is meant."""
        return (
            (self.include_archived or not record.archived)
            and (self.kinds is None or record.kind in self.kinds)
            and (self.term is None or record.term == self.term)
            and set(self.tags) <= set(record.tags)
            and (self.since is None or record.created >= self.since.timestamp())
            and (self.until is None or record.created <= self.until.timestamp())
            and (
                self.session_id is None
                or (record.source or "").partition(".")[0] == self.session_id
            )
        )


class MemorySearch(MemoryFilter):
    """What to look for."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"query": "What may she not eat?"}]}
    )

    query: str = Field(min_length=1, max_length=8192)
    top_k: int = Field(default=10, ge=1, le=100)
    min_similarity: float | None = Field(
        default=None, ge=-1, le=1, description="The least cosine with the query."
    )


class MemoryHit(BaseModel):
    """A memory that was found, and why."""

    memory: MemoryInfo
    score: float
    parts: dict[str, float] = Field(description="What the score is the sum of.")

    @classmethod
    def of(cls, found: RecordHit) -> "MemoryHit":
        """The schema of a hit."""
        return cls(
            memory=MemoryInfo.of(found.record), score=found.hit.score, parts=dict(found.hit.parts)
        )


class MemoryHits(BaseModel):
    """Memories that were found, the best first."""

    hits: list[MemoryHit]


class BulkDelete(Body):
    """Which memories to delete: those named, or all that meet the filter; not both."""

    ids: list[MemoryId] | None = Field(default=None, min_length=1, max_length=1000)
    filter: MemoryFilter | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "BulkDelete":
        if (self.ids is None) == (self.filter is None):
            raise ValueError("give either ids or a filter")
        return self


class MemoriesDeleted(BaseModel):
    """What was deleted."""

    deleted: int


class ArchiveRequest(Body):
    """What counts as stale: all that is given must hold."""

    older_than_days: float | None = Field(default=None, ge=0, le=36_500, allow_inf_nan=False)
    importance_below: Share | None = None
    accesses_below: int | None = Field(default=None, ge=0, le=1_000_000)

    @model_validator(mode="after")
    def _not_empty(self) -> "ArchiveRequest":
        if not self.model_fields_set:
            raise ValueError("give at least one threshold")
        return self

    def staleness(self) -> StaleFilter:
        """The thresholds."""
        days = self.older_than_days
        return StaleFilter(
            None if days is None else days * _DAY_SECONDS,
            self.importance_below,
            self.accesses_below,
        )


class Archived(BaseModel):
    """What was archived."""

    ids: list[str]
