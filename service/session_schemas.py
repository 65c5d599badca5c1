"""What comes in and goes out over HTTP of sessions."""

import json
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from memory.summary import fold_text
from memory.types import Session
from service.memory_queries import MemoryHit
from service.memory_schemas import Body, MemoryInfo
from service.metadata import Metadata
from service.schemas import ChatMessage, utc

_ALL = 1 << 30


class SessionInfo(BaseModel):
    """A session and how far it is folded."""

    session_id: str
    title: str
    profile: str = Field(description="The memory profile of its last turn.")
    created: datetime
    active: datetime
    messages: int
    folded_upto: int = Field(description="Messages before this position are in the summary.")
    summary: str
    closed: bool
    metadata: dict[str, JsonValue]

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
            metadata=json.loads(session.metadata) if session.metadata else {},
        )


Title = Annotated[str, Field(max_length=256)]


class SessionStart(Body):
    """How a session begins."""

    title: Title = ""
    profile: str | None = Field(default=None, description="The memory profile it is noted with.")
    metadata: Metadata = Field(default={})
    message: str | None = Field(
        default=None,
        max_length=8192,
        description="What the user is about to say: memories that bear on it come back.",
    )


class SessionPatch(Body):
    """What to change of a session; what is left out stays."""

    title: Title | None = None
    metadata: Metadata | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> "SessionPatch":
        if self.title is None and self.metadata is None:
            raise ValueError("name a title, metadata, or both")
        return self


class EarlierSession(BaseModel):
    """A session before this one."""

    session_id: str
    title: str
    active: datetime
    summary: str

    @classmethod
    def of(cls, session: Session) -> "EarlierSession":
        """The schema of a session."""
        return cls(
            session_id=session.id,
            title=session.title,
            active=utc(session.active),
            summary=fold_text(session.fold, _ALL),
        )


class SessionStarted(BaseModel):
    """A session, and what is known as it begins."""

    session: SessionInfo
    earlier: list[EarlierSession] = Field(description="The latest first.")
    standing: list[MemoryInfo] = Field(description="Preferences, rules and pinned memories.")
    relevant: list[MemoryHit] = Field(description="Memories that bear on `message`.")


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
