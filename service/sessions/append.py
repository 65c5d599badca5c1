"""Messages that an application appends to a session, after it has called the model itself."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from onionskin.chains.generation import LONGEST_ANSWER
from onionskin.memory.content import stored_text
from onionskin.memory.errors import InvalidInputError, MessageTooLongError
from onionskin.memory.message_append import AppendResult, AppendTarget, NewMessage
from onionskin.memory.session_lock import OnConflict
from onionskin.memory.types.messages import Message, Role, ToolCall, ToolResult
from onionskin.service.dependencies import StateDep, StoringDep
from onionskin.service.errors import problem_responses
from onionskin.service.idempotency import IdempotentRoute, turn_nonce
from onionskin.service.memories.schemas import Body
from onionskin.service.schemas import BoundedTime, Metadata

router = APIRouter(route_class=IdempotentRoute, prefix="/v1/users/{user_id}", tags=["sessions"])
_MOST_MESSAGES, _MOST_CALLS = 200, 64
_NOT_STORED = frozenset({"annotations", "audio", "reasoning", "reasoning_content"})
"""Fields of models' messages that memory does not keep."""
_CallId = Annotated[str, Field(min_length=1, max_length=256)]


class NewToolCall(BaseModel):
    """A tool call, in OpenAI's form or flat."""

    model_config = ConfigDict(extra="forbid")

    id: _CallId
    name: str = Field(min_length=1, max_length=256)
    arguments: str = Field(default="", max_length=1 << 18, description="JSON text.")

    @model_validator(mode="before")
    @classmethod
    def _flatten(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "function" not in value:
            return cast("Any", value)
        fields = cast("dict[str, Any]", value)
        inner = fields["function"]
        known = cast("dict[str, Any]", inner) if isinstance(inner, dict) else {}
        rest = {name: part for name, part in fields.items() if name not in {"function", "type"}}
        return rest | known


class NewMessageBody(BaseModel):
    """A message in the form of OpenAI's chat messages, with a time, an id and metadata."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = Field(
        default=None, description="Text, or parts; of parts, the texts are stored."
    )
    author: str | None = Field(default=None, max_length=256, description="Name of the speaker.")
    time: BoundedTime | None = Field(
        default=None, description="With its offset, which is stored; default: now."
    )
    tool_calls: list[NewToolCall] = Field(default=[], max_length=_MOST_CALLS)
    tool_call_id: _CallId | None = Field(default=None, description="The call of a tool's result.")
    refusal: str | None = Field(default=None, description="A refusal of the model.")
    interrupted: bool = Field(
        default=False, description="Whether the answer was stopped before its end."
    )
    metadata: Metadata = Field(default={})
    id: str | None = Field(
        default=None,
        min_length=1,
        max_length=128,
        description="Your id of the message. Under the same id a session stores it once a day.",
    )

    @model_validator(mode="before")
    @classmethod
    def _without_unused(cls, value: Any) -> Any:
        """Accept `name`, and leave out what is empty or never stored, as SDKs send it."""
        if not isinstance(value, dict):
            return value
        fields = cast("dict[str, Any]", value)
        if "author" not in fields and fields.get("role") != "tool" and "name" in fields:
            fields = {"author": fields["name"], **fields}
        known = cls.model_fields
        unused = {*_NOT_STORED, "name"}
        return {
            name: part
            for name, part in fields.items()
            if part is not None and (name in known or (name not in unused and part not in ([], {})))
        }

    @model_validator(mode="after")
    def _fits_its_role(self) -> "NewMessageBody":
        if (self.role == "tool") != (self.tool_call_id is not None):
            raise ValueError("`tool_call_id` is required with the role `tool`, and with no other")
        if self.role == "tool" and (self.id or self.metadata):
            raise ValueError("a tool's result has no `id` and no `metadata`, only `tool_call_id`")
        if self.role != "assistant" and (self.tool_calls or self.refusal or self.interrupted):
            raise ValueError("only the assistant calls tools, refuses, or is interrupted")
        return self

    def text(self, longest: int) -> str:
        """The text to store.

        Raises:
            InvalidInputError: It is empty, or holds a NUL character.
            MessageTooLongError: It is longer than `longest` characters.
        """
        text = self.refusal or stored_text(self.content)
        if "\0" in text:
            raise InvalidInputError("A message contains a NUL character. Remove it.")
        if not text.strip() and self.role != "tool" and not self.tool_calls:
            raise InvalidInputError(f"A message of role {self.role!r} is empty.")
        if len(text) > longest:
            raise MessageTooLongError(
                f"A message of role {self.role!r} has {len(text)} characters; the limit is "
                f"{longest}."
            )
        return text


class AppendRequest(Body):
    """Messages to append, oldest first: all are stored, or none."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "messages": [
                        {"role": "user", "content": "My dog is called Biscuit."},
                        {"role": "assistant", "content": "A fine name."},
                    ]
                }
            ]
        },
    )

    messages: list[NewMessageBody] = Field(min_length=1, max_length=_MOST_MESSAGES)
    create: bool = Field(
        default=False, description="Whether to create the session of the path if there is none."
    )
    replaces_from: int | None = Field(
        default=None,
        ge=0,
        le=2**53,
        description="Position from which on the session's messages are replaced by these, as by "
        "an edit or a new answer. The replaced ones stay stored, but are not recalled.",
    )
    profile: str | None = Field(
        default=None, description="Memory profile; default: that of the session."
    )
    on_conflict: OnConflict | None = Field(
        default=None, description="If a turn runs on the session; default: as the profile says."
    )

    @model_validator(mode="after")
    def _ids_are_unique(self) -> "AppendRequest":
        ids = [message.id for message in self.messages if message.id]
        if len(set(ids)) < len(ids):
            raise ValueError("two messages have the same id")
        return self


class StoredMessage(BaseModel):
    """A message of the request, and where it is stored."""

    id: str = Field(description="`<session id>:<position>`; results are part of the next answer.")
    position: int
    turn_id: str | None = Field(description="Null before the user's first message.")
    client_id: str | None = Field(description="The `id` of the request.")
    status: Literal["stored", "duplicate"] = Field(
        description="`duplicate` if a message with this id was stored before."
    )


class AppendAnswer(BaseModel):
    """The stored messages, one for each of the request."""

    session_id: str
    new_session: bool
    length: int = Field(description="Messages of the session.")
    messages: list[StoredMessage]

    @classmethod
    def of(cls, result: AppendResult, places: Sequence[int]) -> "AppendAnswer":
        """The schema of a result.

        Args:
            result: What was stored.
            places: The place in `result.messages` of each message of the request.
        """
        session_id = result.session_id
        return cls(
            session_id=session_id,
            new_session=result.is_new_session,
            length=result.length,
            messages=[
                StoredMessage(
                    id=f"{session_id}:{stored.position}",
                    position=stored.position,
                    turn_id=None
                    if stored.turn_position is None
                    else f"{session_id}.{stored.turn_position}",
                    client_id=None
                    if stored.client_id.startswith("\n")
                    else stored.client_id or None,
                    status="duplicate" if stored.is_duplicate else "stored",
                )
                for stored in (result.messages[place] for place in places)
            ],
        )


def to_messages(
    bodies: Sequence[NewMessageBody], *, now: float, longest: int, profile: str
) -> tuple[list[NewMessage], list[int]]:
    """The messages to store, and the place among them of each message of a request.

    Results of tools become part of the answer that follows; without one, of an answer without text.

    Args:
        bodies: The messages of the request.
        now: Time of messages that have none, Unix seconds.
        longest: Longest message of a user, in characters.
        profile: Memory profile that answers were made with; empty if unknown.

    Raises:
        InvalidInputError: A message is empty or too long.
    """
    messages: list[NewMessage] = []
    places: list[int] = []
    results: list[tuple[ToolResult, NewMessageBody]] = []
    names = {call.id: call.name for body in bodies for call in body.tool_calls}
    has_ids = any(body.id for body in bodies)

    def flush() -> None:
        if results:
            pending = tuple(result for result, _ in results)
            ids = " ".join(result.call_id for result in pending) if has_ids else ""
            at, offset = _moment(results[-1][1], now)
            message = Message(
                "assistant", "", at, profile=profile, results=pending, utc_offset=offset
            )
            messages.append(NewMessage(message, f"\n{ids}" if ids else ""))
            results.clear()

    for body in bodies:
        text = body.text(longest if body.role == "user" else LONGEST_ANSWER)
        if body.role == "tool":
            call_id = body.tool_call_id or ""
            results.append((ToolResult(call_id, names.get(call_id, ""), text), body))
        elif body.role == "user":
            flush()
            messages.append(NewMessage(_message(body, "user", text, now), body.id or ""))
        else:
            answer = _message(body, "assistant", text, now)
            pending = tuple(result for result, _ in results)
            answer = replace(answer, results=pending, profile=profile)
            results.clear()
            messages.append(NewMessage(answer, body.id or ""))
        places.append(len(messages) if body.role == "tool" else len(messages) - 1)
    flush()
    return messages, places


def _message(body: NewMessageBody, role: Role, text: str, now: float) -> Message:
    at, offset = _moment(body, now)
    return Message(
        role,
        text,
        at,
        body.author,
        interrupted=body.interrupted,
        calls=tuple(ToolCall(call.id, call.name, call.arguments) for call in body.tool_calls),
        refused=bool(body.refusal),
        metadata=json.dumps(body.metadata, ensure_ascii=False) if body.metadata else "",
        utc_offset=offset,
    )


def _moment(body: NewMessageBody, now: float) -> tuple[float, int | None]:
    """The Unix time of a message, and the offset of its clock if it is known."""
    if body.time is None:
        return now, None
    offset = body.time.utcoffset()
    return body.time.timestamp(), None if offset is None else round(offset.total_seconds())


AppendPath = Annotated[
    str,
    Path(
        pattern=r"^(s_[0-9a-f]{16}|latest|new)$",
        description="Id of the session; `latest` for the one that a turn would continue, or a new "
        "one; `new` for a new one.",
    ),
]


@router.post(
    "/sessions/{session_id}/messages",
    status_code=201,
    responses=problem_responses(404, 409, 413, 422, 507),
)
async def append_messages(
    user: StoringDep, session_id: AppendPath, body: AppendRequest, request: Request, state: StateDep
) -> AppendAnswer:
    """Append messages that your own application exchanged with a model.

    They are stored as those of a turn: embedded, summarized, recalled and used for extraction.
    """
    profile = state.profile_named(body.profile)
    messages, places = to_messages(
        body.messages,
        now=state.records.clock(),
        longest=state.settings.longest_message,
        profile=profile,
    )
    is_named = session_id not in {"latest", "new"}
    target = AppendTarget(
        session_id if is_named else None, body.create, session_id == "new", body.replaces_from
    )
    result = await state.appender.append(
        user,
        target,
        messages,
        profile=profile,
        on_conflict=body.on_conflict,
        nonce=turn_nonce(request),
    )
    return AppendAnswer.of(result, places)
