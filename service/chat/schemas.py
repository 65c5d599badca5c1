"""Requests and answers of a turn, and of the memory that a prompt would hold."""

from typing import Any, Literal

from langchain_core.messages.ai import UsageMetadata
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from onionskin.chains.context import Context
from onionskin.chains.turn import TurnReply
from onionskin.memory.session_lock import OnConflict
from onionskin.memory.tokens import count_tokens
from onionskin.memory.types.snapshot import Hit, Section
from onionskin.service.schemas import ChatMessage, SessionId, UserId, message_fields


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


class Recalled(ChatMessage):
    """A message that was recalled, and why."""

    score: float
    parts: dict[str, float] = Field(description="What the score is the sum of.")
    context: list[str] = Field(description="Ids of the messages around it, shown with it.")


def _recalled(hit: Hit) -> dict[str, Any]:
    """The fields of a `Recalled`."""
    return message_fields(hit.entry) | {
        "score": hit.score,
        "parts": hit.parts,
        "context": [entry.id for entry in hit.context],
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


class ContextRequest(BaseModel):
    """A message that memory is wanted for."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"message": "What is my dog called?"}]}
    )

    message: str = Field(description="What the user says.")
    session_id: str | None = Field(
        None, description="The session to go on with; left out, the latest one or none."
    )
    profile: str | None = Field(None, description="The memory profile, such as `layered`.")


class PromptMessage(BaseModel):
    """One message of the prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


class ContextAnswer(BaseModel):
    """What was recalled. Nothing was stored."""

    session_id: str | None = Field(description="None where a turn would begin a new one.")
    profile: str
    text: str = Field(description="The memory as one text, fenced; without the message.")
    prompt: list[PromptMessage] = Field(description="What a model would be sent.")
    tokens: int = Field(description="Of the prompt; estimated.")
    memory: list[LayerUse]
    degraded: list[str] = Field(description="What could not be used, such as `embedder`.")

    @classmethod
    def of(cls, context: Context) -> "ContextAnswer":
        """The schema of a context."""
        roles: dict[str, Literal["system", "user", "assistant"]]
        roles = {"system": "system", "human": "user", "ai": "assistant"}
        found = context.found
        prompt = [
            PromptMessage(role=roles[message.type], content=str(message.text))
            for message in context.prompt
        ]
        return cls(
            session_id=None if found.is_new_session else found.session_id,
            profile=found.profile,
            text=context.text,
            prompt=prompt,
            tokens=sum(count_tokens(message.content) for message in prompt),
            memory=[LayerUse.of(section) for section in found.sections],
            degraded=list(found.degraded),
        )
