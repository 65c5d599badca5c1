"""Restoring what was exported: batches of pieces, each whole, once, or not at all."""

import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from memory.errors import ImportConflictError
from memory.records import HISTORY_SECONDS, Record, Step
from memory.store import keys
from memory.store.codec import pack_message, pack_record, pack_step, pack_vector
from memory.store.connection import Script
from memory.store.redis import RedisStore
from memory.types import ImportStep, Message, User, Vector

_RESTORE = Script("weigh", "restore")
_IMPORT_SECONDS = 7 * 24 * 3600
_SHORTEST_SECONDS = 60
_Values: TypeAlias = list[str | float | bytes]
_ERASE_FIRST = "Erase the user first, or choose another user id."


@dataclass(frozen=True, slots=True)
class SessionPiece:
    """A session's hash, but for its length, which its messages make."""

    id: str
    fields: Mapping[str, str | float | bytes]


@dataclass(frozen=True, slots=True)
class MessagesPiece:
    """Messages of a session from a position on, each with its `(dim,)` vector if it has one."""

    session_id: str
    first: int
    messages: Sequence[tuple[Message, Vector | None]]


@dataclass(frozen=True, slots=True)
class RecordPiece:
    """A record, with its `(dim,)` vector if it has one."""

    record: Record
    vector: Vector | None


@dataclass(frozen=True, slots=True)
class StepPiece:
    """The step `number` of a record's history."""

    record_id: str
    number: int
    step: Step


Piece: TypeAlias = SessionPiece | MessagesPiece | RecordPiece | StepPiece
"""What a batch is made of."""


async def restore_pieces(
    store: RedisStore, user: User, pieces: Sequence[Piece], *, step: ImportStep, now: float
) -> None:
    """Store a batch of an export.

    Args:
        store: where it goes.
        user: whose it becomes.
        pieces: in the order of the export.
        step: where the batch stands in its import.
        now: Unix seconds; a history is kept for as long as it would have been.

    Raises:
        ImportConflictError: something of it is there already, or the import stands elsewhere.
    """
    values: _Values = []
    for piece in pieces:
        values += _values(store, piece, now)
    reply = await store.connection.run(
        _RESTORE,
        keys.prefix(user),
        step.import_id,
        step.lines_before,
        step.lines_after,
        _IMPORT_SECONDS,
        secrets.token_hex(8),
        store.log_length,
        *values,
    )
    if reply[0] != b"ok":
        raise ImportConflictError(f"{_refusal(reply)} {step.lines_before} lines are stored.")


def _values(store: RedisStore, piece: Piece, now: float) -> _Values:
    match piece:
        case SessionPiece():
            flat = [part for field in piece.fields.items() for part in field]
            return ["session", piece.id, len(piece.fields), *flat]
        case MessagesPiece():
            said: _Values = []
            for message, vector in piece.messages:
                said += (pack_message(message), _packed(store, vector))
            return ["messages", piece.session_id, piece.first, len(piece.messages), *said]
        case RecordPiece():
            record = piece.record
            packed = f"{record.revision} ".encode() + pack_record(record)
            return ["record", record.id, packed, record.topic or "", _packed(store, piece.vector)]
        case StepPiece():
            left = max(_SHORTEST_SECONDS, math.ceil(piece.step.at + HISTORY_SECONDS - now))
            kept = min(left, HISTORY_SECONDS)
            return ["step", piece.record_id, piece.number, pack_step(piece.step), kept]


def _packed(store: RedisStore, vector: Vector | None) -> bytes:
    return b"" if vector is None else pack_vector(store.embedder_tag, vector)


def _refusal(reply: Sequence[Any]) -> str:
    if reply[0] == b"conflict":
        return (
            f"{reply[1]} lines of this import are stored, not as many as this one counted: it runs "
            "twice, or the user was erased meanwhile. Start again to resume."
        )
    name = reply[1].decode()
    return {
        b"session": f"Session {name!r} is there already. {_ERASE_FIRST}",
        b"memory": f"Memory {name!r}, or its history, is there already. {_ERASE_FIRST}",
        b"topic": f"Memory {name!r} holds the topic of one that is restored. {_ERASE_FIRST}",
        b"changed": f"Session {name!r} was changed while it was restored. {_ERASE_FIRST}",
    }[reply[0]]
