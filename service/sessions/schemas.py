"""Request and response bodies for sessions and their turns."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from onionskin.memory.layers.summary import summary_text
from onionskin.memory.store import StoredTurn
from onionskin.memory.types.messages import Entry, Session
from onionskin.memory.types.prompt_trace import LayerTrace
from onionskin.service.memories.queries import MemoryHit
from onionskin.service.memories.schemas import Body, MemoryInfo
from onionskin.service.schemas import ChatMessage, Metadata, utc

_ALL = 1 << 30


class SessionInfo(BaseModel):
    """A session and how far it is summarized."""

    session_id: str
    title: str
    profile: str = Field(description="Memory profile of the last turn.")
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
            messages=session.live_count,
            folded_upto=session.summary_state.compacted_upto,
            summary=summary_text(session.summary_state, _ALL),
            closed=session.closed,
            metadata=json.loads(session.metadata) if session.metadata else {},
        )


Title = Annotated[str, Field(max_length=256)]


class SessionStart(Body):
    """Settings of a new session."""

    title: Title = ""
    profile: str | None = Field(default=None, description="Memory profile of the session.")
    metadata: Metadata = Field(default={})
    message: str | None = Field(
        default=None,
        max_length=8192,
        description="The user's next message; the answer lists memories relevant to it.",
    )


class SessionPatch(Body):
    """Fields to change; omitted fields stay as they are."""

    title: Title | None = None
    metadata: Metadata | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> "SessionPatch":
        if self.title is None and self.metadata is None:
            raise ValueError("name a title, metadata, or both")
        return self


class EarlierSession(BaseModel):
    """An earlier session."""

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
    """A new session, and what is known about the user."""

    session: SessionInfo
    earlier: list[EarlierSession] = Field(description="Latest first.")
    standing: list[MemoryInfo] = Field(description="Preferences, rules and pinned memories.")
    relevant: list[MemoryHit] = Field(description="Memories relevant to `message`.")


class ForkRequest(BaseModel):
    """Options for a copy of a session."""

    model_config = ConfigDict(extra="forbid")

    messages: int | None = Field(
        None, ge=0, le=2**53, description="Number of messages to copy, oldest first; default: all."
    )
    profile: str | None = Field(
        None, description="Memory profile of the copy; default: that of the original."
    )


class BranchRequest(Body):
    """The branch of a session to restore."""

    position: int = Field(ge=0, le=2**53, description="Position of an abandoned message.")


class SessionPage(BaseModel):
    """A page of sessions, latest first."""

    sessions: list[SessionInfo]
    next_cursor: str | None = Field(description="Cursor of the next page; null on the last page.")


class MessagePage(BaseModel):
    """A page of messages, oldest first."""

    messages: list[ChatMessage]
    next_cursor: str | None = Field(description="Cursor of the next page; null on the last page.")


def messages_of(session: Session, entries: Sequence[Entry]) -> list[ChatMessage]:
    """The schemas of messages of a session; marks abandoned and unanswered ones."""
    abandoned, messages = session.abandoned, list[ChatMessage]()
    is_end = bool(entries) and not abandoned.count_live(entries[-1].position + 1, session.length)
    for entry in reversed(entries):
        is_abandoned = entry.position in abandoned
        is_end = is_end and (is_abandoned or entry.message.role == "user")
        unanswered = is_end and not is_abandoned
        messages.append(ChatMessage.of(entry, unanswered=unanswered, abandoned=is_abandoned))
    return messages[::-1]


class Deleted(BaseModel):
    """A deleted session."""

    session_id: str
    messages: int


class ShownHit(BaseModel):
    """A recalled message with the parts of its score."""

    id: str
    score: float
    parts: dict[str, float] = Field(description="The score is the sum of these.")
    context: list[str] = Field(description="Ids of neighbouring messages in the prompt.")
    spans: list[tuple[int, int]] = Field(
        default_factory=list[tuple[int, int]],
        description="Of a long message, start and end of each part that the prompt quoted, in "
        "characters; empty for a whole message.",
    )
    message: ChatMessage | None = Field(description="Null if the message was deleted.")


class ShownLayer(BaseModel):
    """Content that one layer added to the prompt."""

    layer: str
    tokens: int = Field(description="Estimated.")
    messages: list[str] = Field(description="Ids of quoted messages.")
    summary: str
    earlier_sessions: list[str]
    recalled: list[ShownHit]
    records: list[str] = Field(description="Ids of memories in the prompt.")

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
                    spans=list(hit.spans),
                    message=ChatMessage.of(entries[hit.id]) if hit.id in entries else None,
                )
                for hit in layer.hits
            ],
            records=list(layer.records),
        )


class TurnInfo(BaseModel):
    """A turn: its messages and the memory in its prompt."""

    turn_id: str
    session_id: str
    said: ChatMessage = Field(description="The user's first message.")
    replied: ChatMessage | None = Field(description="The last answer; null if there is none.")
    messages: list[ChatMessage] = Field(
        description="All messages of the turn: those of the user, then the answers."
    )
    unanswered: bool = Field(description="Whether no answer is stored.")
    abandoned: bool = Field(description="Whether an edit or a regeneration has replaced the turn.")
    shown: list[ShownLayer] | None = Field(
        description="Content of the prompt, layer by layer; null once it has expired."
    )

    @classmethod
    def of(cls, turn_id: str, turn: StoredTurn, entries: Mapping[str, Entry]) -> "TurnInfo":
        """The schema of a turn.

        Args:
            turn_id: Id of the turn.
            turn: Its messages and prompt trace.
            entries: The recalled messages by id.
        """
        layers, is_abandoned = turn.layers, turn.is_abandoned
        messages = [
            ChatMessage.of(
                entry,
                unanswered=turn.reply is None and not is_abandoned,
                abandoned=is_abandoned,
            )
            for entry in turn.messages
        ]
        return cls(
            turn_id=turn_id,
            session_id=turn.message.session_id,
            said=messages[0],
            replied=messages[-1] if turn.reply else None,
            messages=messages,
            unanswered=turn.reply is None,
            abandoned=turn.is_abandoned,
            shown=None if layers is None else [ShownLayer.of(layer, entries) for layer in layers],
        )
