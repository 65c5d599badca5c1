"""Packs values as msgpack, and validates them when they are unpacked; nothing is unpickled."""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from onionskin.memory.errors import CorruptValueError
from onionskin.memory.types.messages import Message, Role, ToolCall, ToolResult, Vector
from onionskin.memory.types.records import Record, RecordChange

_VERSION = 1


class _Packed(msgspec.Struct, array_like=True, frozen=True):
    """The packed fields of a message; later versions add fields at the end, with a default."""

    version: int
    role: Role
    content: str
    at: float
    author: str | None
    interrupted: bool = False
    profile: str = ""
    calls: tuple[tuple[str, str, str], ...] = ()
    results: tuple[tuple[str, str, str], ...] = ()
    refused: bool = False
    metadata: str = ""
    utc_offset: int | None = None


_DEFAULTS: tuple[Any, ...] = (False, "", [], [], False, "", None)
"""Values of a message's optional fields that are not packed at its end."""
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Packed)
_TAG_END, _ROWS = b"\0", b"\1"
_record_decoder = msgspec.msgpack.Decoder(Record)
_step_decoder = msgspec.msgpack.Decoder(RecordChange)


def pack_message(message: Message) -> bytes:
    """A message as a msgpack array that begins with its version, without defaults at its end."""
    fields: list[Any] = [_VERSION, message.role, message.content, message.at, message.author]
    calls = [(call.id, call.name, call.arguments) for call in message.calls]
    results = [(result.call_id, result.name, result.content) for result in message.results]
    optional = (
        *(message.interrupted, message.profile, calls, results, message.refused),
        *(message.metadata, message.utc_offset),
    )
    pairs = enumerate(zip(optional, _DEFAULTS, strict=True), 1)
    count = max((place for place, (value, default) in pairs if value != default), default=0)
    return _encoder.encode([*fields, *optional[:count]])


def unpack_message(data: bytes) -> Message:
    """The message of `pack_message`.

    Raises:
        CorruptValueError: `data` is no packed message, or has another version.
    """
    try:
        packed = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CorruptValueError(f"A stored message does not decode: {error}.") from error
    if packed.version != _VERSION:
        raise CorruptValueError(
            f"A stored message has format {packed.version!r}; this version reads {_VERSION!r}. "
            "Upgrade Onionskin."
        )
    return Message(
        packed.role,
        packed.content,
        packed.at,
        packed.author,
        packed.interrupted,
        packed.profile,
        tuple(ToolCall(*call) for call in packed.calls) if packed.calls else (),
        tuple(ToolResult(*result) for result in packed.results) if packed.results else (),
        packed.refused,
        packed.metadata,
        packed.utc_offset,
    )


def pack_vector(embedder_tag: str, vector: Vector) -> bytes:
    """A `(dim,)` float32 vector as float16, preceded by the tag of its embedder.

    Vectors of passages, `(n, dim)`, have their number behind the tag.
    """
    rows = b"" if vector.ndim == 1 else _ROWS + str(len(vector)).encode()
    return embedder_tag.encode() + rows + _TAG_END + vector.astype("<f2").tobytes()


def unpack_vector(data: bytes | None, embedder_tag: str) -> NDArray[np.float16] | None:
    """The float16 vector or vectors of `pack_vector`; None if another embedder made them."""
    if not data:
        return None
    head, _, values = data.partition(_TAG_END)
    tag, _, rows = head.partition(_ROWS)
    if tag != embedder_tag.encode() or len(values) % 2:
        return None
    vector = np.frombuffer(values, dtype="<f2")
    if not rows:
        return vector
    count = int(rows) if rows.isdigit() else 0
    return vector.reshape(count, -1) if count and not len(vector) % count else None


def pack_record(record: Record) -> bytes:
    """A record as msgpack."""
    return _encoder.encode(record)


def unpack_record(data: bytes) -> Record:
    """The record of `pack_record`.

    Raises:
        CorruptValueError: `data` is no packed record.
    """
    try:
        return _record_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CorruptValueError(f"A stored record does not decode: {error}.") from error


def pack_step(step: RecordChange) -> bytes:
    """A step of a record's history as msgpack."""
    return _encoder.encode(step)


def unpack_step(data: bytes) -> RecordChange:
    """The step of `pack_step`.

    Raises:
        CorruptValueError: `data` is no packed step.
    """
    try:
        return _step_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CorruptValueError(f"A stored step does not decode: {error}.") from error
