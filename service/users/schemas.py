"""Response bodies about users."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from onionskin.chains.user_summary import UserSummary
from onionskin.memory.store import ErasureResult, UserStats
from onionskin.memory.time_zones import TimeZone, aware_time
from onionskin.memory.transfer.importer import ImportReport
from onionskin.service.schemas import utc


class UserInfo(BaseModel):
    """A user who has stored data."""

    user_id: str


class UserPage(BaseModel):
    """A page of users, sorted by id."""

    users: list[UserInfo]
    next_cursor: str | None = Field(description="Cursor of the next page; null on the last page.")


class UserFigures(BaseModel):
    """Amount of data stored for a user."""

    user_id: str
    sessions: int
    open_sessions: int = Field(description="Sessions that are not closed.")
    messages: int
    summaries: int = Field(description="Sessions that are summarized, at least in part.")
    memories: int = Field(description="Including expired and archived memories.")
    vectors: int
    size_bytes: int = Field(
        description="Size in Redis, estimated; without temporary data such as the progress of "
        "imports and the history of deleted memories."
    )
    extraction: dict[str, int] = Field(
        description="Batches by result of the memory extraction: `drawn`, `empty`, `malformed` "
        "(an unusable answer) or `full` (the user may have no more memories); `useless` counts "
        "discarded memories."
    )
    first_activity: datetime | None = Field(description="When the first session began.")
    last_activity: datetime | None = Field(description="When a session was last active.")

    @classmethod
    def of(cls, user_id: str, stats: UserStats) -> "UserFigures":
        """The schema of a user's statistics."""
        return cls(
            user_id=user_id,
            sessions=stats.sessions,
            open_sessions=stats.open_sessions,
            messages=stats.messages,
            summaries=stats.summaries,
            memories=stats.memories,
            vectors=stats.vectors,
            size_bytes=stats.size_bytes,
            extraction=stats.extraction,
            first_activity=None if stats.first is None else utc(stats.first),
            last_activity=None if stats.last is None else utc(stats.last),
        )


class UserSettings(BaseModel):
    """A user's own settings."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"timezone": "Europe/Berlin"}]}
    )

    timezone: str | None = Field(
        description="Name in the IANA database, or an offset such as `+05:45`; null for none."
    )


class UserSettingsInfo(BaseModel):
    """A user's settings, and what follows from them for this request."""

    user_id: str
    timezone: str | None = Field(description="As stored; null for none.")
    effective_timezone: str = Field(
        description="The zone that this request's turns use: of the header "
        "`X-Onionskin-Timezone`, stored, of the token, of `ONIONSKIN_TIMEZONE`, or `UTC`."
    )
    local_time: datetime = Field(description="The time of the answer in that zone.")

    @classmethod
    def of(cls, user_id: str, stored: str, zone: TimeZone, now: float) -> "UserSettingsInfo":
        """The schema of a user's settings."""
        return cls(
            user_id=user_id,
            timezone=stored or None,
            effective_timezone=zone.name or "UTC",
            local_time=aware_time(now, zone.offset_at(now)),
        )


class UserSummaryInfo(BaseModel):
    """A summary of a user over all sessions."""

    user_id: str
    text: str = Field(description="At most about 600 tokens; empty if nothing is known.")
    source: Literal["model", "extract"] = Field(
        description="Whether the model wrote it, or it consists of lines of the sources."
    )
    made: datetime
    sessions: int = Field(description="Sessions that it is made of; the latest ones.")
    memories: int = Field(description="Memories that it is made of; the most important ones.")
    pending: bool = Field(description="Whether the model is going to write another one.")

    @classmethod
    def of(cls, user_id: str, summary: UserSummary) -> "UserSummaryInfo":
        """The schema of a summary."""
        return cls(
            user_id=user_id,
            text=summary.text,
            source=summary.source,
            made=utc(summary.at),
            sessions=summary.sessions,
            memories=summary.memories,
            pending=summary.is_pending,
        )


class ErasureReceipt(BaseModel):
    """Amount of erased data, and when. The service does not store the receipt."""

    receipt_id: str = Field(examples=["e_5f0c61b54bd9a7e3"])
    user_id: str
    erased_at: datetime
    sessions: int
    messages: int
    memories: int
    vectors: int
    keys: int = Field(description="Number of Redis keys.")

    @classmethod
    def of(
        cls, user_id: str, receipt_id: str, erased_at: float, erased: ErasureResult
    ) -> "ErasureReceipt":
        """The schema of an erasure."""
        return cls(
            receipt_id=receipt_id,
            user_id=user_id,
            erased_at=utc(erased_at),
            sessions=erased.sessions,
            messages=erased.messages,
            memories=erased.memories,
            vectors=erased.vectors,
            keys=erased.keys,
        )


class ImportedSession(BaseModel):
    """What an import did for one label."""

    label: str = Field(description="`session` of the lines; empty for lines without one.")
    session_id: str
    status: Literal["created", "continued"] = Field(description="Whether the session existed.")
    messages: int = Field(description="Messages that this attempt added.")


class ImportDone(BaseModel):
    """Result of an import."""

    import_id: str
    lines: int = Field(description="Stored lines, including blank ones.")
    resumed_after: int = Field(description="Lines that earlier attempts stored.")
    messages: int = Field(description="Messages that this attempt stored.")
    memories: int = Field(description="Memories that this attempt restored from an export.")
    sessions: list[str]
    by_label: list[ImportedSession] = Field(
        description="What this attempt did for each `session` label of a conversation."
    )

    @classmethod
    def of(cls, report: ImportReport) -> "ImportDone":
        """The schema of a report."""
        return cls(
            import_id=report.import_id,
            lines=report.lines,
            resumed_after=report.resumed_after,
            messages=report.messages,
            memories=report.memories,
            sessions=list(report.sessions),
            by_label=[
                ImportedSession(
                    label=session.label,
                    session_id=session.session_id,
                    status=session.status,
                    messages=session.messages,
                )
                for session in report.by_label
            ],
        )
