"""The trace of a prompt: what each layer showed, by ids and scores; stored for a week."""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from onionskin.memory.errors import CorruptValueError
from onionskin.memory.types.snapshot import Section

TRACE_SECONDS = 7 * 24 * 3600
_encoder = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True)
class HitTrace:
    """A recalled message: its id, score, score parts, and the ids of its neighbours.

    `spans` are start and end of the quoted parts of a long message.
    """

    id: str
    score: float
    parts: dict[str, float]
    context: tuple[str, ...]
    spans: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class LayerTrace:
    """What one layer showed; messages, sessions and records by id."""

    layer: str
    tokens: int
    messages: tuple[str, ...]
    text: str
    sessions: tuple[str, ...]
    hits: tuple[HitTrace, ...]
    records: tuple[str, ...]


_decoder = msgspec.msgpack.Decoder(tuple[LayerTrace, ...])


def pack_trace(layers: Iterable[LayerTrace]) -> bytes:
    """The trace of a turn as MessagePack."""
    return _encoder.encode(tuple(layers))


def unpack_trace(data: bytes) -> tuple[LayerTrace, ...]:
    """The trace that `pack_trace` encoded.

    Raises:
        CorruptValueError: `data` cannot be decoded.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CorruptValueError(f"A stored trace cannot be decoded: {error}.") from error


def layer_trace(section: Section) -> LayerTrace:
    """The trace of one layer's section."""
    return LayerTrace(
        layer=section.layer,
        tokens=section.tokens,
        messages=section.quoted_ids,
        text=section.text,
        sessions=tuple(digest.session_id for digest in section.digests),
        hits=tuple(
            HitTrace(
                hit.entry.id,
                hit.score,
                dict(hit.parts),
                tuple(entry.id for entry in hit.context),
                hit.spans,
            )
            for hit in section.hits
        ),
        records=tuple(record.id for record in section.records),
    )
