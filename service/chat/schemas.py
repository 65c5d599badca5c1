"""Request and response bodies of a turn and of its prompt."""

import json
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from onionskin.chains.context import Context
from onionskin.chains.turn import NO_INSTRUCTIONS, ClientInstructions, TurnReply
from onionskin.memory.session_lock import OnConflict
from onionskin.memory.tokens import count_tokens
from onionskin.memory.types.snapshot import Hit, Section
from onionskin.service.schemas import (
    ChatMessage,
    Metadata,
    SessionId,
    UserId,
    message_fields,
    message_path,
)

_DEGRADED = (
    "Parts that failed, such as `embedder`; `shortened_messages` if the window shows head and tail "
    "of a long message."
)


class ChatRequest(BaseModel):
    """A message from a user."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"user_id": "alice", "message": "My dog is called Biscuit."}]
        },
    )

    user_id: UserId
    message: str = Field(
        description="Text of the user's message.", examples=["What is my dog called?"]
    )
    session_id: str | None = Field(
        None, description="Session to continue; default: the latest one, or a new one."
    )
    profile: str | None = Field(None, description="Memory profile, such as `layered`.")
    on_conflict: OnConflict | None = Field(
        None,
        description="If another turn runs on the session: `queue` behind it, `reject` this one "
        "(409), `interrupt` the other (its partial answer is stored), or run in `parallel`. "
        "Default: as the profile says.",
    )
    apart_from: list[SessionId] = Field(
        [],
        max_length=16,
        description="Sessions to exclude from recall, such as the other side of a comparison: "
        "their messages and summaries, and memories that were extracted only from them.",
    )
    system: str | None = Field(
        None,
        max_length=65_536,
        description="Instructions for the model, before those of the memory; not stored. Default: "
        "those of the profile.",
    )
    temperature: float | None = Field(
        None, ge=0, le=2, description="Of the model; default: as the profile says."
    )
    max_tokens: int | None = Field(
        None, ge=1, le=10_000_000, description="Longest answer; default: as the profile says."
    )
    metadata: Metadata = Field({}, description="Stored with the user's message.")
    store: bool = Field(
        True,
        description="Whether to store the turn. If not, memory is only read: no message, session, "
        "or text under an idempotency key is left, and a retry asks the model again.",
    )
    stream: bool = Field(False, description="Whether to answer with server-sent events.")

    def instructions(self) -> ClientInstructions:
        """What the request adds to the prompt and to the model call."""
        options = {"temperature": self.temperature, "max_tokens": self.max_tokens}
        given = {name: value for name, value in options.items() if value is not None}
        if not (self.system or given):
            return NO_INSTRUCTIONS
        return ClientInstructions((self.system,) if self.system else (), options=given)


class Recalled(ChatMessage):
    """A recalled message with the parts of its score."""

    score: float
    parts: dict[str, float] = Field(description="The score is the sum of these.")
    context: list[str] = Field(description="Ids of neighbouring messages in the prompt.")
    spans: list[tuple[int, int]] = Field(
        default_factory=list[tuple[int, int]],
        description="Of a long message, start and end of each part that `content` quotes, in "
        "characters; empty for a whole message.",
    )
    full_text: str | None = Field(
        None,
        description="Where to read the whole message if `content` quotes parts of it: a path "
        "below `/v1/users/{user_id}/`.",
    )


def _hit_fields(hit: Hit) -> dict[str, Any]:
    """The fields of a `Recalled`."""
    return message_fields(hit.entry) | {
        "score": hit.score,
        "parts": hit.parts,
        "context": [entry.id for entry in hit.context],
        "spans": hit.spans,
        "full_text": message_path(hit.entry) if hit.spans else None,
    }


class LayerUse(BaseModel):
    """Content that one layer added to the prompt."""

    layer: str
    tokens: int = Field(description="Estimated.")
    messages: list[str] = Field(description="Ids of quoted messages.")
    shortened: list[str] = Field(
        default_factory=list, description="Ids of those whose head and tail alone are quoted."
    )
    summary: str = Field(description="The running summary in the prompt.")
    earlier_sessions: list[str] = Field(description="Ids of earlier sessions in the prompt.")
    recalled: list[Recalled]
    records: list[str] = Field(description="Ids of memories in the prompt; see `/memories`.")

    @classmethod
    def of(cls, section: Section) -> "LayerUse":
        """The schema of a section."""
        return cls(**_section_fields(section))


def _section_fields(section: Section) -> dict[str, Any]:
    """The fields of a `LayerUse`."""
    return {
        "layer": section.layer,
        "tokens": section.tokens,
        "messages": section.quoted_ids,
        "shortened": section.shortened,
        "summary": section.text,
        "earlier_sessions": [digest.session_id for digest in section.digests],
        "recalled": list(map(_hit_fields, section.hits)),
        "records": [record.id for record in section.records],
    }


class Usage(BaseModel):
    """Token counts as the model reports them."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class ChatAnswer(BaseModel):
    """An answer. The turn is stored before it is sent."""

    reply: str
    session_id: str = Field(description="Empty if the turn is not stored and continues no session.")
    turn_id: str = Field(description="Empty if the turn is not stored.")
    profile: str
    new_session: bool
    usage: Usage | None = Field(description="Null if the model does not report it.")
    memory: list[LayerUse]
    degraded: list[str] = Field(description=_DEGRADED)
    interrupted: bool = Field(False, description="Whether a newer turn stopped it.")
    messages_unfolded: int = Field(
        0, description="Messages of the session that are not summarized yet."
    )
    vectors_pending: int = Field(
        0, description="Messages without a vector yet; only their words are searched."
    )

    @classmethod
    def of(cls, reply: TurnReply) -> "ChatAnswer":
        """The schema of a reply."""
        return cls(**_reply_fields(reply))

    @staticmethod
    def json_of(reply: TurnReply) -> bytes:
        """The JSON of `of(reply)`, without the cost of validation."""
        return to_json(_reply_fields(reply), inf_nan_mode="null")


def _reply_fields(reply: TurnReply) -> dict[str, Any]:
    """The fields of a `ChatAnswer`."""
    usage = reply.usage
    return {
        "reply": reply.reply,
        "session_id": reply.session_id,
        "turn_id": reply.turn_id,
        "profile": reply.profile,
        "new_session": reply.is_new_session,
        "usage": _usage_fields(usage) if usage else None,
        "memory": list(map(_section_fields, reply.sections)),
        "degraded": list(reply.degraded),
        "interrupted": reply.interrupted,
        "messages_unfolded": reply.messages_unfolded,
        "vectors_pending": reply.vectors_pending,
    }


def _usage_fields(usage: UsageMetadata) -> dict[str, int]:
    """The fields of a `Usage`; models report more than these."""
    return {
        "input_tokens": usage["input_tokens"],
        "output_tokens": usage["output_tokens"],
        "total_tokens": usage["total_tokens"],
    }


class ContextRequest(BaseModel):
    """A message for which to read the prompt."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"message": "What is my dog called?"}]}
    )

    message: str = Field(description="Text of the user's message.")
    session_id: str | None = Field(
        None, description="Session to continue; default: the latest one, or none."
    )
    profile: str | None = Field(None, description="Memory profile, such as `layered`.")


class PromptMessage(BaseModel):
    """One message of the prompt."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: list[dict[str, Any]] = Field(
        default_factory=list[dict[str, Any]],
        description="Tool calls of an answer, as OpenAI's protocol has them.",
    )
    tool_call_id: str | None = Field(None, description="The call that a result belongs to.")

    @classmethod
    def of(cls, message: BaseMessage) -> "PromptMessage":
        """The schema of a message for the model."""
        calls = message.tool_calls if isinstance(message, AIMessage) else []
        return cls(
            role=_ROLES[message.type],
            content=str(message.text),
            tool_calls=[
                {
                    "id": call["id"],
                    "type": "function",
                    "function": {"name": call["name"], "arguments": json.dumps(call["args"])},
                }
                for call in calls
            ],
            tool_call_id=message.tool_call_id if isinstance(message, ToolMessage) else None,
        )


_ROLES: dict[str, Literal["system", "user", "assistant", "tool"]] = {
    "system": "system",
    "human": "user",
    "ai": "assistant",
    "tool": "tool",
}


class ContextAnswer(BaseModel):
    """The memory for a message."""

    session_id: str | None = Field(description="Null if a turn would begin a new session.")
    profile: str
    text: str = Field(description="The memory as one fenced text, without the message.")
    prompt: list[PromptMessage] = Field(description="Messages to send to a model.")
    tokens: int = Field(description="Estimated tokens of the prompt.")
    memory: list[LayerUse]
    degraded: list[str] = Field(description=_DEGRADED)

    @classmethod
    def of(cls, context: Context) -> "ContextAnswer":
        """The schema of a context."""
        reply = context.reply
        prompt = [PromptMessage.of(message) for message in context.prompt]
        return cls(
            session_id=None if reply.is_new_session else reply.session_id,
            profile=reply.profile,
            text=context.text,
            prompt=prompt,
            tokens=sum(count_tokens(message.content) for message in prompt),
            memory=[LayerUse.of(section) for section in reply.sections],
            degraded=list(reply.degraded),
        )
