"""What comes in and goes out over HTTP of sessions.

A turn, and what the model was shown for it.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from onionskin.memory.layers.summary import summary_text
from onionskin.memory.store.transcripts import StoredTurn
from onionskin.memory.types.messages import Entry, Session
from onionskin.memory.types.prompt_trace import LayerTrace
from onionskin.service.memories.queries import MemoryHit
from onionskin.service.memories.schemas import Body, MemoryInfo
from onionskin.service.schemas import ChatMessage, Metadata, utc

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
            folded_upto=session.summary_state.compacted_upto,
            summary=summary_text(session.summary_state, _ALL),
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
            summary=summary_text(session.summary_state, _ALL),
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


class ShownHit(BaseModel):
    """A recalled message, and why."""

    id: str
    score: float
    parts: dict[str, float] = Field(description="What the score is the sum of.")
    context: list[str] = Field(description="Ids of the messages shown with it.")
    message: ChatMessage | None = Field(description="None once it was deleted.")


class ShownLayer(BaseModel):
    """What one layer had put into the prompt."""

    layer: str
    tokens: int = Field(description="Estimated.")
    messages: list[str] = Field(description="Ids of the messages shown verbatim.")
    summary: str
    earlier_sessions: list[str]
    recalled: list[ShownHit]
    records: list[str] = Field(description="Ids of the memories shown.")

    @classmethod
    def of(cls, layer: LayerTrace, entries: Mapping[str, Entry]) -> "ShownLayer":
        """The schema of a layer's trace."""
        return cls(
            layer=layer.layer,
            tokens=layer.tokens,
            messages=list(layer.messages),
            summary=layer.text,
            earlier_sessions=list(layer.sessions),
            recalled=[
                ShownHit(
                    id=hit.id,
                    score=hit.score,
                    parts=hit.parts,
                    context=list(hit.context),
                    message=ChatMessage.of(entries[hit.id]) if hit.id in entries else None,
                )
                for hit in layer.hits
            ],
            records=list(layer.records),
        )


class TurnInfo(BaseModel):
    """A turn."""

    turn_id: str
    session_id: str
    said: ChatMessage
    replied: ChatMessage | None
    shown: list[ShownLayer] | None = Field(
        description="What the model was shown, layer by layer; None once that is no longer kept."
    )

    @classmethod
    def of(cls, turn_id: str, turn: StoredTurn, entries: Mapping[str, Entry]) -> "TurnInfo":
        """The schema of a turn, with the messages that it recalled."""
        layers = turn.layers
        return cls(
            turn_id=turn_id,
            session_id=turn.said.session_id,
            said=ChatMessage.of(turn.said),
            replied=ChatMessage.of(turn.replied) if turn.replied else None,
            shown=None if layers is None else [ShownLayer.of(one, entries) for one in layers],
        )
