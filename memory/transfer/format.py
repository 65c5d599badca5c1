"""The lines of an export: what is carried from one Onionskin to another, and back.

The first line is the header. Then come the sessions, sorted by id, each with its messages; then the
memories, sorted by id, each followed by the steps of its history; then the end, which counts the
lines before it. Vectors are made anew.

JSON lines as they come over a network: in chunks that end anywhere, each line bounded.
"""

from collections.abc import AsyncIterator
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from onionskin.memory.types.messages import Role
from onionskin.memory.types.records import Record, RecordChange

EXPORT_KIND = "onionskin-export"
EXPORT_VERSION = 1
SessionId: TypeAlias = Annotated[str, Meta(pattern=r"^s_[0-9a-f]{16}\Z")]
RecordId: TypeAlias = Annotated[str, Meta(pattern=r"^m_[0-9a-f]{16}\Z")]
Time: TypeAlias = Annotated[float, Meta(ge=-62_135_596_800, lt=253_402_300_800)]
"""Unix seconds of the years 1 to 9999."""
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]


class Header(msgspec.Struct, frozen=True, tag_field="kind", tag=EXPORT_KIND):
    """The first line."""

    version: int = EXPORT_VERSION


class Binary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bytes that are no text."""

    base64: bytes


class SessionLine(
    msgspec.Struct, frozen=True, tag_field="kind", tag="session", forbid_unknown_fields=True
):
    """A session; so many `messages` follow it.

    Attributes:
        more: what else its hash holds, as text, or as `{"base64": ...}` where it is none.
    """

    id: SessionId
    created: Time
    active: Time
    title: str
    profile: str
    closed: bool
    follows: list[SessionId]
    folded_upto: Count
    summarized_upto: Count
    summary: str
    extract: str
    messages: Count
    extracted_upto: Count = 0
    more: dict[str, str | Binary] = {}


class MessageLine(
    msgspec.Struct, frozen=True, tag_field="kind", tag="message", forbid_unknown_fields=True
):
    """A message where it stood; `time` is in Unix seconds, `profile` empty where none is known."""

    session: SessionId
    position: Count
    role: Role
    content: str
    author: str | None
    time: Time
    interrupted: bool = False
    profile: str = ""


class MemoryLine(
    msgspec.Struct, frozen=True, tag_field="kind", tag="memory", forbid_unknown_fields=True
):
    """A memory with every field of it."""

    record: Record


class StepLine(
    msgspec.Struct, frozen=True, tag_field="kind", tag="step", forbid_unknown_fields=True
):
    """A step in the history of a memory, which may be deleted itself."""

    memory: RecordId
    step: RecordChange


class EndLine(msgspec.Struct, frozen=True, tag_field="kind", tag="end", forbid_unknown_fields=True):
    """The last line: an export without it was cut off."""

    lines: Count


Line: TypeAlias = SessionLine | MessageLine | MemoryLine | StepLine | EndLine
"""Every line but the first."""
_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Line)


def to_json(*lines: Header | Line) -> bytes:
    """Lines as JSON, each with its end of line."""
    return b"".join(_encoder.encode(line) + b"\n" for line in lines)


def from_json(raw: bytes) -> Line:
    """The line of `to_json`.

    Raises:
        msgspec.MsgspecError: it is none.
    """
    return _decoder.decode(raw)


LONGEST_LINE_BYTES = 1 << 20


async def read_lines(
    chunks: AsyncIterator[bytes], *, longest: int = LONGEST_LINE_BYTES
) -> AsyncIterator[bytes]:
    """The lines of `chunks`, without their ends; of one longer than `longest`, a beginning."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line
        if len(rest) > longest:
            yield rest  # too long already; who reads it refuses it
    if rest.strip():
        yield rest
