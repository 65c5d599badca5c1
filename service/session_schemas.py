"""What comes in and goes out over HTTP of sessions."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from memory.summary import fold_text
from memory.types import Session
from service.schemas import ChatMessage, utc

_ALL = 1 << 30


class SessionInfo(BaseModel):
    """A session and how far it is folded."""

    session_id: str
    title: str
    profile: str
    created: datetime
    active: datetime
    messages: int
    folded_upto: int = Field(description="Messages before this position are in the summary.")
    summary: str
    closed: bool

    @classmethod
    def of(cls, session: Session) -> "SessionInfo":
        """The schema of a session."""
        return cls(
            session_id=session.id,
            title=session.title,
            profile=session.profile,
            created=utc(session.created),
            active=utc(session.active),
            messages=session.length,
            folded_upto=session.fold.folded_upto,
            summary=fold_text(session.fold, _ALL),
            closed=session.closed,
        )


class ForkRequest(BaseModel):
    """How a session is copied."""

    model_config = ConfigDict(extra="forbid")

    messages: int | None = Field(
        None, ge=0, le=2**53, description="Copy so many, the oldest first; all if left out."
    )
    profile: str | None = Field(None, description="The copy's memory profile; else as before.")


class SessionPage(BaseModel):
    """Sessions, the latest first."""

    sessions: list[SessionInfo]
    next_cursor: str | None = Field(description="For the next page; None on the last.")


class MessagePage(BaseModel):
    """Messages, the oldest first."""

    messages: list[ChatMessage]
    next_cursor: str | None = Field(description="For the next page; None on the last.")


class Deleted(BaseModel):
    """What went."""

    session_id: str
    messages: int
