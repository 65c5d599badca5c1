"""Queries over memories: filters, search, bulk deletion and archiving thresholds."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, model_validator

from onionskin.memory.retrieval import RecordHit
from onionskin.memory.types.messages import User
from onionskin.memory.types.records import KINDS, Kind, Record, StaleFilter, Status, Term
from onionskin.service.memories.schemas import (
    Body,
    Label,
    MemoryId,
    MemoryInfo,
    MemoryPage,
    Share,
    Tags,
)
from onionskin.service.schemas import BoundedTime, finite_number
from onionskin.service.state import State

_DAY_SECONDS = 86_400.0


_INCLUDE_SUPERSEDED = (
    "Also memories that are not valid now; their `status` and `superseded_by` say why."
)
_AS_OF = "Memories that were valid at this time instead of now."


@dataclass(frozen=True, slots=True)
class MemoryView:
    """How the memories of a user are shown at a time, with what is current.

    Attributes:
        now: Current time in Unix seconds.
        quarantined_ids: Ids of quarantined entries.
    """

    now: float
    quarantined_ids: frozenset[str]

    def status(self, record: Record) -> Status:
        """Whether a memory is current, or why it is not."""
        return record.status(self.now, self.quarantined_ids)

    def is_current(self, record: Record) -> bool:
        """Whether a memory is current."""
        return self.status(record) == "current"

    def info(self, record: Record) -> MemoryInfo:
        """The schema of a memory."""
        return MemoryInfo.of(record, now=self.now, quarantined_ids=self.quarantined_ids)


async def memory_view(state: State, user: User) -> MemoryView:
    """How the user's memories are shown now."""
    return MemoryView(state.records.clock(), await state.indexes.quarantined_ids(user))


class MemoryQuery(Body):
    """Filter and page of a list of memories."""

    kind: Kind | None = None
    term: Term | None = None
    tag: Label | None = None
    since: BoundedTime | None = Field(default=None, description="Created at or after this time.")
    until: BoundedTime | None = Field(default=None, description="Created at or before this time.")
    include_archived: bool = False
    include_superseded: bool = Field(default=False, description=_INCLUDE_SUPERSEDED)
    include_quarantined: bool = False
    as_of: BoundedTime | None = Field(default=None, description=_AS_OF)
    cursor: str | None = Field(
        default=None, max_length=100, description="`next_cursor` of the previous page."
    )
    limit: int = Field(default=50, ge=1, le=200, description="Maximum number of items per page.")

    def page(self, records: Iterable[Record], view: MemoryView) -> MemoryPage:
        """The matching memories, newest first.

        Args:
            records: All records of the user.
            view: How they are shown.

        Raises:
            InvalidInputError: The cursor is invalid.
        """
        admits = self.filter().shown_by(view)
        matches = [record for record in records if admits(record)]
        matches.sort(key=_newest_first)
        if self.cursor:
            after = _sort_key(self.cursor)
            matches = [record for record in matches if _newest_first(record) > after]
        page = matches[: self.limit]
        has_more = len(matches) > self.limit
        return MemoryPage(
            memories=[view.info(record) for record in page],
            next_cursor=f"{page[-1].created!r}:{page[-1].id}" if has_more else None,
        )

    def filter(self) -> "MemoryFilter":
        """The filter without the page."""
        return MemoryFilter(
            kinds=[self.kind] if self.kind else None,
            term=self.term,
            tags=[self.tag] if self.tag else [],
            since=self.since,
            until=self.until,
            include_archived=self.include_archived,
            include_superseded=self.include_superseded,
            include_quarantined=self.include_quarantined,
            as_of=self.as_of,
        )


class MemoryFilter(Body):
    """A filter for memories; all given conditions must hold.

    A search or a list shows current memories only, unless others are included. A deletion takes all
    that match, archived ones only if they are included.
    """

    kinds: list[Kind] | None = Field(default=None, max_length=len(KINDS))
    term: Term | None = None
    tags: Tags = Field(default=[], description="A memory must have all of them.")
    since: BoundedTime | None = Field(default=None, description="Created at or after this time.")
    until: BoundedTime | None = Field(default=None, description="Created at or before this time.")
    session_id: str | None = Field(
        default=None, description="Only memories from turns of this session."
    )
    include_archived: bool = False
    include_superseded: bool = Field(default=False, description=_INCLUDE_SUPERSEDED)
    include_quarantined: bool = False
    as_of: BoundedTime | None = Field(default=None, description=_AS_OF)

    def shown_by(self, view: MemoryView) -> Callable[[Record], bool]:
        """Whether a memory matches and is current, or not current for an included reason."""
        statuses: set[Status] = {"current"}
        statuses |= {"archived"} if self.include_archived else set()
        statuses |= {"quarantined"} if self.include_quarantined else set()
        outdated: set[Status] = {"superseded", "ended", "upcoming"}
        statuses |= outdated if self.include_superseded or self.as_of else set()
        at = self.as_of.timestamp() if self.as_of else None
        return lambda record: (
            view.status(record) in statuses
            and self.admits(record)
            and (at is None or record.is_valid(at))
        )

    def admits(self, record: Record) -> bool:
        """Whether a memory matches, whether or not it is current."""
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
    """A search query with a filter."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"query": "What may she not eat?"}]}
    )

    query: str = Field(min_length=1, max_length=8192)
    top_k: int = Field(default=10, ge=1, le=100)
    min_similarity: float | None = Field(
        default=None, ge=-1, le=1, description="Minimum cosine similarity with the query."
    )


class MemoryHit(BaseModel):
    """A search result with the parts of its score."""

    memory: MemoryInfo
    score: float
    parts: dict[str, float] = Field(description="The score is the sum of these.")

    @classmethod
    def of(cls, result: RecordHit, view: MemoryView) -> "MemoryHit":
        """The schema of a search result."""
        hit = result.hit
        return cls(memory=view.info(result.record), score=hit.score, parts=dict(hit.parts))


class MemoryHits(BaseModel):
    """Search results, best match first."""

    hits: list[MemoryHit]


class BulkDelete(Body):
    """Memories to delete: either a list of ids, or a filter."""

    ids: list[MemoryId] | None = Field(default=None, min_length=1, max_length=1000)
    filter: MemoryFilter | None = None

    @model_validator(mode="after")
    def _ids_or_filter(self) -> "BulkDelete":
        if (self.ids is None) == (self.filter is None):
            raise ValueError("give either ids or a filter")
        return self


class MemoriesDeleted(BaseModel):
    """Number of deleted memories."""

    deleted: int


class ArchiveRequest(Body):
    """Thresholds of staleness; all given thresholds must hold."""

    older_than_days: float | None = Field(default=None, ge=0, le=36_500, allow_inf_nan=False)
    importance_below: Share | None = None
    accesses_below: int | None = Field(default=None, ge=0, le=1_000_000)

    @model_validator(mode="after")
    def _not_empty(self) -> "ArchiveRequest":
        if not self.model_fields_set:
            raise ValueError("give at least one threshold")
        return self

    def stale_filter(self) -> StaleFilter:
        """The thresholds as a filter over records."""
        days = self.older_than_days
        return StaleFilter(
            None if days is None else days * _DAY_SECONDS,
            self.importance_below,
            self.accesses_below,
        )


class Archived(BaseModel):
    """Ids of the archived memories."""

    ids: list[str]


def _newest_first(record: Record) -> tuple[float, str]:
    return (-record.created, record.id)


def _sort_key(cursor: str) -> tuple[float, str]:
    created, _, record_id = cursor.partition(":")
    return (-finite_number(created, cursor), record_id)
