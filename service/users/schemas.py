"""What goes out over HTTP of users as a whole."""

from datetime import datetime

from pydantic import BaseModel, Field

from onionskin.memory.store.deletion import ErasureResult
from onionskin.memory.store.users import UserStats
from onionskin.service.schemas import utc


class UserInfo(BaseModel):
    """A user who has something stored."""

    user_id: str


class UserPage(BaseModel):
    """Users, sorted by id."""

    users: list[UserInfo]
    next_cursor: str | None = Field(description="For the next page; None on the last.")


class UserFigures(BaseModel):
    """How much is stored of a user; zeros where there is nothing."""

    user_id: str
    sessions: int
    open_sessions: int = Field(description="Sessions that are not closed.")
    messages: int
    summaries: int = Field(description="Sessions that are folded, at least in part.")
    memories: int = Field(description="Expired and archived ones too.")
    vectors: int
    size_bytes: int = Field(
        description="In Redis, as it estimates: without what goes by itself, such as progress of "
        "imports and histories of deleted memories."
    )
    extraction: dict[str, int] = Field(
        description="Batches that memories were drawn from: `drawn`, `empty`, `malformed` (an "
        "answer that could not be used) or `full` (no more memories allowed), and how many drawn "
        "memories were `useless`."
    )
    first_activity: datetime | None = Field(description="When the first session began.")
    last_activity: datetime | None = Field(description="When a session was last active.")

    @classmethod
    def of(cls, user_id: str, stats: UserStats) -> "UserFigures":
        """The schema of a user's figures."""
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


class ErasureReceipt(BaseModel):
    """What was erased, and when. It is stored nowhere: keep it if you must show it."""

    receipt_id: str = Field(examples=["e_5f0c61b54bd9a7e3"])
    user_id: str
    erased_at: datetime
    sessions: int
    messages: int
    memories: int
    vectors: int
    keys: int = Field(description="Keys of Redis.")

    @classmethod
    def of(
        cls, user_id: str, receipt_id: str, erased_at: float, gone: ErasureResult
    ) -> "ErasureReceipt":
        """The schema of what went."""
        return cls(
            receipt_id=receipt_id,
            user_id=user_id,
            erased_at=utc(erased_at),
            sessions=gone.sessions,
            messages=gone.messages,
            memories=gone.memories,
            vectors=gone.vectors,
            keys=gone.keys,
        )


class ImportDone(BaseModel):
    """How an import ended."""

    import_id: str
    lines: int = Field(description="Lines stored by now, blank ones included.")
    resumed_after: int = Field(description="Lines that an earlier try had stored.")
    messages: int = Field(description="Messages that this try stored.")
    memories: int = Field(description="Memories that this try restored from an export.")
    sessions: list[str]
