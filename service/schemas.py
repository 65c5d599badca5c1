"""What comes in and goes out over HTTP.

What clients may note beside things of ours: a small JSON object.
"""

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from langchain_core.messages.ai import UsageMetadata
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue
from pydantic_core import to_json

from onionskin.chains.conversation import TurnReply
from onionskin.memory.session_lock import OnConflict
from onionskin.memory.types.messages import Entry
from onionskin.memory.types.snapshot import Hit, Section


def _reachable(value: str) -> str:
    if value in {".", ".."}:
        raise ValueError("may not be '.' or '..', which URLs take for folders")
    return value


UserId = Annotated[
    str,
    Field(
        min_length=1,
        max_length=256,
        pattern=r"^[^/\x00-\x1f\x7f]+$",
        description="Any text of up to 256 characters without '/' or control characters.",
        examples=["alice"],
    ),
    AfterValidator(_reachable),
]
SessionId = Annotated[
    str,
    Field(
        pattern=r"^s_[0-9a-f]{16}$",
        description="As an answer gave it.",
        examples=["s_5f0c61b54bd9a7e3"],
    ),
]


class ChatRequest(BaseModel):
    """What a user says."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"user_id": "alice", "message": "My dog is called Biscuit."}]
        },
    )

    user_id: UserId
    message: str = Field(description="What the user says.", examples=["What is my dog called?"])
    session_id: str | None = Field(
        None, description="The session to go on with; left out, the latest one or a new one."
    )
    profile: str | None = Field(None, description="The memory profile, such as `layered`.")
    on_conflict: OnConflict | None = Field(
        None,
        description="When another turn is under way on the session: `queue` behind it, `reject` "
        "this one (409), `interrupt` that one (what it said so far is kept), or go on in "
        "`parallel`. Left out, what the profile says.",
    )
    apart_from: list[SessionId] = Field(
        [],
        max_length=16,
        description="Sessions of the user that nothing is recalled of, such as the other side of "
        "a comparison: no message, no summary, no memory that was drawn from them alone.",
    )
    stream: bool = Field(False, description="Answer with server-sent events.")


class ChatMessage(BaseModel):
    """A message as it was said."""

    id: str = Field(description="`<session id>:<position>`.")
    session_id: str
    position: int
    role: Literal["user", "assistant"]
    author: str | None
    content: str
    time: datetime
    interrupted: bool = Field(False, description="Whether it was stopped before its end.")
    profile: str | None = Field(
        None,
        description="The memory profile that an answer was given with; None of what a user said, "
        "of what was imported from elsewhere, and of what was stored before it was noted.",
    )

    @classmethod
    def of(cls, entry: Entry) -> "ChatMessage":
        """The schema of an entry."""
        return cls(**_said(entry))


class Recalled(ChatMessage):
    """A message that was recalled, and why."""

    score: float
    parts: dict[str, float] = Field(description="What the score is the sum of.")
    context: list[str] = Field(description="Ids of the messages around it, shown with it.")


def _recalled(hit: Hit) -> dict[str, Any]:
    """The fields of a `Recalled`."""
    return _said(hit.entry) | {
        "score": hit.score,
        "parts": hit.parts,
        "context": [entry.id for entry in hit.context],
    }


def _said(entry: Entry) -> dict[str, Any]:
    """The fields of a `ChatMessage`."""
    message = entry.message
    return {
        "id": entry.id,
        "session_id": entry.session_id,
        "position": entry.position,
        "role": message.role,
        "author": message.author,
        "content": message.content,
        "time": utc(message.at),
        "interrupted": message.interrupted,
        "profile": message.profile or None,
    }


class LayerUse(BaseModel):
    """What one layer put into the prompt."""

    layer: str
    tokens: int = Field(description="Estimated.")
    messages: list[str] = Field(description="Ids of the messages shown verbatim.")
    summary: str = Field(description="The running summary shown.")
    earlier_sessions: list[str] = Field(description="Ids of the sessions taken up.")
    recalled: list[Recalled]
    records: list[str] = Field(description="Ids of the memories shown; see `/memories`.")

    @classmethod
    def of(cls, section: Section) -> "LayerUse":
        """The schema of a section."""
        return cls(**_used(section))


def _used(section: Section) -> dict[str, Any]:
    """The fields of a `LayerUse`."""
    return {
        "layer": section.layer,
        "tokens": section.tokens,
        "messages": [entry.id for entry in section.messages_shown()],
        "summary": section.text,
        "earlier_sessions": [digest.session_id for digest in section.digests],
        "recalled": [_recalled(hit) for hit in section.hits],
        "records": [record.id for record in section.records],
    }


class Usage(BaseModel):
    """Tokens, as the model counted them."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class ChatAnswer(BaseModel):
    """An answer. Once it is here, the turn is stored."""

    reply: str
    session_id: str
    turn_id: str
    profile: str
    new_session: bool
    usage: Usage | None = Field(description="None where the model does not count.")
    memory: list[LayerUse]
    degraded: list[str] = Field(description="What could not be used, such as `embedder`.")
    interrupted: bool = Field(False, description="Whether a newer turn stopped it.")
    messages_unfolded: int = Field(0, description="Of the session, in no summary yet.")
    vectors_pending: int = Field(0, description="Messages found by words alone so far.")

    @classmethod
    def of(cls, reply: TurnReply) -> "ChatAnswer":
        """The schema of a reply."""
        return cls(**_answered(reply))

    @staticmethod
    def json_of(reply: TurnReply) -> bytes:
        """The schema of a reply as JSON: what `of` would make, without making it."""
        return to_json(_answered(reply), inf_nan_mode="null")


def _answered(reply: TurnReply) -> dict[str, Any]:
    """The fields of a `ChatAnswer`."""
    usage = reply.usage
    return {
        "reply": reply.reply,
        "session_id": reply.session_id,
        "turn_id": reply.turn_id,
        "profile": reply.profile,
        "new_session": reply.is_new_session,
        "usage": _counted(usage) if usage else None,
        "memory": [_used(section) for section in reply.sections],
        "degraded": list(reply.degraded),
        "interrupted": reply.interrupted,
        "messages_unfolded": reply.messages_unfolded,
        "vectors_pending": reply.vectors_pending,
    }


def _counted(usage: UsageMetadata) -> dict[str, int]:
    """The fields of a `Usage`; models tell more than these."""
    return {
        "input_tokens": usage["input_tokens"],
        "output_tokens": usage["output_tokens"],
        "total_tokens": usage["total_tokens"],
    }


class ImportDone(BaseModel):
    """How an import ended."""

    import_id: str
    lines: int = Field(description="Lines stored by now, blank ones included.")
    resumed_after: int = Field(description="Lines that an earlier try had stored.")
    messages: int = Field(description="Messages that this try stored.")
    memories: int = Field(description="Memories that this try restored from an export.")
    sessions: list[str]


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(examples=["urn:onionskin:error:unknown_session"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(description="What happened and what to do next.")
    code: str = Field(description="Stable, for programs.", examples=["unknown_session"])
    errors: list[dict[str, str]] | None = None


def utc(at: float) -> datetime:
    """A time, Unix seconds, as ISO 8601 shows it."""
    return datetime.fromtimestamp(at, UTC)


_LARGEST_METADATA, _DEEPEST_METADATA = 4096, 8


def _small(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if _depth(value) > _DEEPEST_METADATA:
        raise ValueError(f"may not be nested deeper than {_DEEPEST_METADATA}")
    if not _fits(value):
        raise ValueError("may not hold whole numbers of more than 64 bits")
    if len(json.dumps(value, ensure_ascii=False)) > _LARGEST_METADATA:
        raise ValueError(f"may not be longer than {_LARGEST_METADATA} characters as JSON")
    return value


def _fits(value: JsonValue) -> bool:
    if isinstance(value, dict):
        return all(map(_fits, value.values()))
    if isinstance(value, list):
        return all(map(_fits, value))
    return not isinstance(value, int) or -(2**63) <= value < 2**64


def _depth(value: JsonValue) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


Metadata = Annotated[dict[str, JsonValue], AfterValidator(_small)]
"""Up to 4,096 characters as JSON, nested up to eight deep, whole numbers of up to 64 bits."""
