"""Restoring what was exported: batches of pieces, each whole, once, or not at all."""

import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from memory.errors import ImportConflictError
from memory.records import HISTORY_SECONDS, Record, Step
from memory.store.codec import pack_record, pack_step
from memory.store.keyring import Argument
from memory.store.packing import sealed_field, sealed_messages, sealed_vector
from memory.store.redis import RedisStore
from memory.store.scripts import Script
from memory.store.sealing import Cipher
from memory.types import ImportStep, Message, User, Vector

_RESTORE = Script("weigh", "restore", lasts=True)
_IMPORT_SECONDS = 7 * 24 * 3600
_SHORTEST_SECONDS = 60
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
    epoch = secrets.token_hex(8)

    def arguments(cipher: Cipher) -> Sequence[Argument]:
        values: list[Argument] = [step.import_id, step.lines_before, step.lines_after]
        values += (_IMPORT_SECONDS, epoch, store.log_length)
        for piece in pieces:
            values += _values(piece, cipher, embedder_tag=store.embedder_tag, now=now)
        return values

    reply = await store.keyring.write(user, _RESTORE, arguments)
    if reply[0] != b"ok":
        raise ImportConflictError(f"{_refusal(reply)} {step.lines_before} lines are stored.")


def _values(piece: Piece, cipher: Cipher, *, embedder_tag: str, now: float) -> list[Argument]:
    match piece:
        case SessionPiece():
            flat = [
                part
                for name, value in piece.fields.items()
                for part in (name, sealed_field(cipher, piece.id, name, value))
            ]
            return ["session", piece.id, len(piece.fields), *flat]
        case MessagesPiece():
            sid, first, messages = piece.session_id, piece.first, piece.messages
            said = sealed_messages(cipher, sid, first, messages, embedder_tag=embedder_tag)
            return ["messages", sid, first, len(messages), *said]
        case RecordPiece():
            record = piece.record
            sealed = cipher.seal(f"records:{record.id}", pack_record(record))
            packed = f"{record.revision} ".encode() + sealed
            vector = sealed_vector(cipher, record.id, piece.vector, embedder_tag)
            return ["record", record.id, packed, cipher.mask("topic", record.topic or ""), vector]
        case StepPiece():
            left = max(_SHORTEST_SECONDS, math.ceil(piece.step.at + HISTORY_SECONDS - now))
            kept, name = min(left, HISTORY_SECONDS), piece.record_id
            sealed = cipher.seal(f"history:{name}", pack_step(piece.step))
            return ["step", name, piece.number, sealed, kept]


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
