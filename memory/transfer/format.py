"""The export format: line types, and a reader of JSON lines from network chunks.

The first line is the header. Sessions follow, sorted by id, each with its messages; then memories,
sorted by id, each with the steps of its history; then the end, which counts the lines before it.
Vectors are not exported; a restore computes them.
"""

from collections.abc import AsyncIterator
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from onionskin.memory.time_zones import EARLIEST, LATEST
from onionskin.memory.types.messages import Role
from onionskin.memory.types.records import Record, RecordChange

EXPORT_KIND = "onionskin-export"
EXPORT_VERSION = 1
LONGEST_LINE_BYTES = 1 << 20
SessionId: TypeAlias = Annotated[str, Meta(pattern=r"^s_[0-9a-f]{16}\Z")]
RecordId: TypeAlias = Annotated[str, Meta(pattern=r"^m_[0-9a-f]{16}\Z")]
Time: TypeAlias = Annotated[float, Meta(ge=EARLIEST, le=LATEST)]
"""Unix seconds, from 0001-01-02 to 9999-12-30."""
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]


class Header(msgspec.Struct, frozen=True, tag_field="kind", tag=EXPORT_KIND, omit_defaults=True):
    """The first line; `time_zone` is the user's, left out if none is stored."""

    version: int
    time_zone: str = ""


class Binary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bytes that are not valid UTF-8."""

    base64: bytes


class SessionLine(
    msgspec.Struct, frozen=True, tag_field="kind", tag="session", forbid_unknown_fields=True
):
    """A session, followed by `messages` message lines.

    Attributes:
        more: Further fields of its hash, as text or as `{"base64": ...}`.
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
    """A message with its position; `time` in Unix seconds, `profile` empty if unknown.

    Attributes:
        calls, results: Tool calls and their results, each as id, name, and arguments or content.
    """

    session: SessionId
    position: Count
    role: Role
    content: str
    author: str | None
    time: Time
    interrupted: bool = False
    profile: str = ""
    calls: tuple[tuple[str, str, str], ...] = ()
    results: tuple[tuple[str, str, str], ...] = ()
    refused: bool = False
    metadata: str = ""
    utc_offset: int | None = None


class MemoryLine(
    msgspec.Struct, frozen=True, tag_field="kind", tag="memory", forbid_unknown_fields=True
):
    """A memory with all fields."""

    record: Record


class StepLine(
    msgspec.Struct, frozen=True, tag_field="kind", tag="step", forbid_unknown_fields=True
):
    """A history step of a memory; the memory itself may be deleted."""

    memory: RecordId
    step: RecordChange


class EndLine(msgspec.Struct, frozen=True, tag_field="kind", tag="end", forbid_unknown_fields=True):
    """The last line; an export without it is truncated."""

    lines: Count


Line: TypeAlias = SessionLine | MessageLine | MemoryLine | StepLine | EndLine
"""Any line after the header."""
_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Line)


def to_json(*lines: Header | Line) -> bytes:
    """Lines as JSON, each with a newline."""
    return b"".join(_encoder.encode(line) + b"\n" for line in lines)


def from_json(raw: bytes) -> Line:
    """The line that `to_json` encoded.

    Raises:
        msgspec.MsgspecError: `raw` is not a line.
    """
    return _decoder.decode(raw)


async def read_lines(
    chunks: AsyncIterator[bytes], *, longest: int = LONGEST_LINE_BYTES
) -> AsyncIterator[bytes]:
    """The lines of `chunks` without newlines; a line over `longest` bytes is truncated."""
    rest = b""
    async for chunk in chunks:
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            yield line
        if len(rest) > longest:
            yield rest  # too long: the caller rejects it
    if rest.strip():
        yield rest
