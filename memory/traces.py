"""What a prompt showed, layer by layer: kept for a while beside each turn, by ids and scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from memory.errors import CorruptValueError

TRACE_SECONDS = 7 * 24 * 3600
_encoder = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True)
class HitTrace:
    """A recalled message: its id, its score and the score's parts, and its neighbours' ids."""

    id: str
    score: float
    parts: dict[str, float]
    context: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LayerTrace:
    """What one layer showed; messages, sessions and records by their ids."""

    layer: str
    tokens: int
    messages: tuple[str, ...]
    text: str
    sessions: tuple[str, ...]
    hits: tuple[HitTrace, ...]
    records: tuple[str, ...]


_decoder = msgspec.msgpack.Decoder(tuple[LayerTrace, ...])


def pack_trace(layers: Sequence[LayerTrace]) -> bytes:
    """The trace of a turn, packed."""
    return _encoder.encode(layers)


def unpack_trace(data: bytes) -> tuple[LayerTrace, ...]:
    """The trace of `pack_trace`.

    Raises:
        CorruptValueError: `data` is none.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CorruptValueError(f"A stored trace does not decode: {error}.") from error
