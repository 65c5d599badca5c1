"""Field types and models that several resources share."""

import json
import math
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, JsonValue

from onionskin.memory.errors import InvalidInputError
from onionskin.memory.merge_patch import LONGEST_METADATA
from onionskin.memory.time_zones import aware_time, check_time
from onionskin.memory.types.messages import Entry

_MAX_METADATA_DEPTH = 8


def _check_path_segment(value: str) -> str:
    if value in {".", ".."}:
        raise ValueError("may not be '.' or '..': URLs resolve them as folders")
    return value


def _bounded(value: datetime) -> datetime:
    check_time(value.timestamp())
    return value


BoundedTime = Annotated[AwareDatetime, AfterValidator(_bounded)]
"""A time with a zone, from 0001-01-02 to 9999-12-30: readable in any zone."""
UserId = Annotated[
    str,
    Field(
        min_length=1,
        max_length=256,
        pattern=r"^[^/\x00-\x1f\x7f\ufffd]+$",
        description="Any text of up to 256 characters without '/', U+FFFD or control characters.",
        examples=["alice"],
    ),
    AfterValidator(_check_path_segment),
]
SessionId = Annotated[
    str,
    Field(
        pattern=r"^s_[0-9a-f]{16}$",
        description="From the answer of a turn.",
        examples=["s_5f0c61b54bd9a7e3"],
    ),
]


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(examples=["urn:onionskin:error:unknown_session"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(description="What happened and what to do next.")
    code: str = Field(description="Stable, for programs.", examples=["unknown_session"])
    errors: list[dict[str, str]] | None = None
    session_id: str | None = Field(
        None, description="Where the user's message is kept, if the model failed."
    )
    turn_id: str | None = Field(None, description="The unanswered turn, if the model failed.")


class ToolCallInfo(BaseModel):
    """A tool call of an answer."""

    id: str
    name: str
    arguments: str = Field(description="JSON as the model wrote it.")


class ToolResultInfo(BaseModel):
    """The result of a tool call."""

    call_id: str
    name: str
    content: str


class ChatMessage(BaseModel):
    """A stored message."""

    id: str = Field(description="`<session id>:<position>`.")
    session_id: str
    position: int
    role: Literal["user", "assistant"]
    author: str | None
    content: str
    time: datetime = Field(description="At the speaker's offset from UTC, where it is known.")
    interrupted: bool = Field(False, description="Whether the answer was stopped before its end.")
    profile: str | None = Field(
        None,
        description="The memory profile of an answer; None for messages of users, for imported "
        "messages, and for answers stored without one.",
    )
    calls: list[ToolCallInfo] = Field([], description="Tool calls of an answer.")
    results: list[ToolResultInfo] = Field(
        [], description="Results of earlier calls, which the model read for this answer."
    )
    refused: bool = Field(False, description="Whether the content is a refusal of the model.")
    metadata: dict[str, JsonValue] = Field({}, description="Metadata of the client.")
    unanswered: bool = Field(
        False, description="Whether the message is the last one of its session and has no answer."
    )
    abandoned: bool = Field(
        False, description="Whether an edit or a regeneration has replaced the message."
    )

    @classmethod
    def of(
        cls, entry: Entry, *, unanswered: bool = False, abandoned: bool = False
    ) -> "ChatMessage":
        """The schema of an entry."""
        return cls(**message_fields(entry), unanswered=unanswered, abandoned=abandoned)


def message_fields(entry: Entry) -> dict[str, Any]:
    """The fields of a `ChatMessage`, for one that is not validated."""
    message = entry.message
    return {
        "id": entry.id,
        "session_id": entry.session_id,
        "position": entry.position,
        "role": message.role,
        "author": message.author,
        "content": message.content,
        "time": aware_time(message.at, message.utc_offset),
        "interrupted": message.interrupted,
        "profile": message.profile or None,
        "calls": [asdict(call) for call in message.calls],
        "results": [asdict(result) for result in message.results],
        "refused": message.refused,
        "metadata": json.loads(message.metadata) if message.metadata else {},
    }


def message_path(entry: Entry) -> str:
    """The path of a message, below `/v1/users/{user_id}/`."""
    return f"sessions/{entry.session_id}/messages?cursor={entry.position}&limit=1"


def utc(at: float) -> datetime:
    """The aware datetime of Unix seconds."""
    return aware_time(at, None)


def _check_metadata(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if _depth(value) > _MAX_METADATA_DEPTH:
        raise ValueError(f"may not be nested deeper than {_MAX_METADATA_DEPTH}")
    if not _has_storable_numbers(value):
        raise ValueError("may not hold whole numbers of more than 64 bits")
    if len(json.dumps(value, ensure_ascii=False)) > LONGEST_METADATA:
        raise ValueError(f"may not be longer than {LONGEST_METADATA} characters as JSON")
    return value


def _has_storable_numbers(value: JsonValue) -> bool:
    if isinstance(value, dict):
        return all(map(_has_storable_numbers, value.values()))
    if isinstance(value, list):
        return all(map(_has_storable_numbers, value))
    return not isinstance(value, int) or -(2**63) <= value < 2**64


def _depth(value: JsonValue) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


Metadata = Annotated[dict[str, JsonValue], AfterValidator(_check_metadata)]
"""Up to 4,096 characters as JSON, nested up to eight deep, whole numbers of up to 64 bits."""


def finite_number(text: str, cursor: str) -> float:
    """The number that a cursor starts with.

    Raises:
        InvalidInputError: It is no finite number.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InvalidInputError(f"{cursor!r} is not a cursor of this list.")
    return number
