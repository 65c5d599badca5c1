"""Restores an export: batches of pieces, each batch stored completely, once, or not at all."""

import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from onionskin.memory.errors import ImportConflictError
from onionskin.memory.store import keys
from onionskin.memory.store.codec import pack_record, pack_step
from onionskin.memory.store.encryption.ciphers import Cipher
from onionskin.memory.store.encryption.keyring import Argument
from onionskin.memory.store.redis.scripts import Script
from onionskin.memory.store.repository import Repository
from onionskin.memory.store.script_io import (
    encrypted_field,
    encrypted_messages,
    encrypted_vector,
)
from onionskin.memory.types.messages import ImportStep, Message, User, Vector
from onionskin.memory.types.records import HISTORY_SECONDS, Record, RecordChange

_RESTORE_BATCH = Script("byte_count", "branches", "restore_batch", durable=True)
_IMPORT_SECONDS = 7 * 24 * 3600
_MIN_HISTORY_SECONDS = 60
_ERASE_FIRST = "Erase the user first, or choose another user id."


@dataclass(frozen=True, slots=True)
class SessionPiece:
    """A session's hash, without its length, which follows from its messages."""

    id: str
    fields: Mapping[str, str | float | bytes]


@dataclass(frozen=True, slots=True)
class MessagesPiece:
    """Messages of a session from position `first` on, with their `(dim,)` vectors or None."""

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
    """The change `number` of a record's history."""

    record_id: str
    number: int
    step: RecordChange


Piece: TypeAlias = SessionPiece | MessagesPiece | RecordPiece | StepPiece
"""One part of a batch."""


class Transfer(Repository):
    """Stores imported data of a user, and how many lines of an import are stored."""

    async def lines_stored(self, user: User, import_id: str) -> int:
        """How many lines of an import are stored."""
        name = keys.import_progress(user, import_id)
        return int(await self._call(self._commands.hget(name, "lines")) or 0)

    async def restore(
        self, user: User, pieces: Sequence[Piece], *, step: ImportStep, now: float
    ) -> None:
        """Store a batch of an export.

        Args:
            user: The user who becomes the owner.
            pieces: The parts of the batch, in the order of the export.
            step: The position of the batch in its import.
            now: Unix seconds; from it follows how long a history is still kept.

        Raises:
            ImportConflictError: A part exists already, or the import is at another position.
        """
        epoch = secrets.token_hex(8)

        def arguments(cipher: Cipher) -> Sequence[Argument]:
            values: list[Argument] = [step.import_id, step.lines_before, step.lines_after]
            values += (_IMPORT_SECONDS, epoch, self._log_length)
            for piece in pieces:
                values += _values(piece, cipher, embedder_tag=self._embedder_tag, now=now)
            return values

        reply = await self._keyring.run_write(user, _RESTORE_BATCH, arguments)
        if reply[0] != b"ok":
            raise ImportConflictError(f"{_refusal(reply)} {step.lines_before} lines are stored.")


def _values(piece: Piece, cipher: Cipher, *, embedder_tag: str, now: float) -> list[Argument]:
    match piece:
        case SessionPiece():
            flat = [
                part
                for name, value in piece.fields.items()
                for part in (name, encrypted_field(cipher, piece.id, name, value))
            ]
            return ["session", piece.id, len(piece.fields), *flat]
        case MessagesPiece():
            messages = encrypted_messages(
                cipher, piece.session_id, piece.first, piece.messages, embedder_tag=embedder_tag
            )
            return ["messages", piece.session_id, piece.first, len(piece.messages), *messages]
        case RecordPiece():
            record = piece.record
            encrypted = cipher.encrypt(f"records:{record.id}", pack_record(record))
            vector = encrypted_vector(cipher, record.id, piece.vector, embedder_tag)
            return [
                "record",
                record.id,
                f"{record.revision} ".encode() + encrypted,
                cipher.blind_index("topic", record.topic or ""),
                vector,
            ]
        case StepPiece():
            left = max(_MIN_HISTORY_SECONDS, math.ceil(piece.step.at + HISTORY_SECONDS - now))
            seconds, name = min(left, HISTORY_SECONDS), piece.record_id
            encrypted = cipher.encrypt(f"history:{name}", pack_step(piece.step))
            return ["step", name, piece.number, encrypted, seconds]


def _refusal(reply: Sequence[Any]) -> str:
    if reply[0] == b"conflict":
        return (
            f"{reply[1]} lines of this import are stored, not as many as this one counted: it runs "
            "twice, or the user was erased in between. Start again to resume."
        )
    name = reply[1].decode()
    return {
        b"session": f"Session {name!r} exists already. {_ERASE_FIRST}",
        b"memory": f"Memory {name!r} or its history exists already. {_ERASE_FIRST}",
        b"topic": f"Memory {name!r} holds the topic of one that is restored. {_ERASE_FIRST}",
        b"changed": f"Session {name!r} was changed while it was restored. {_ERASE_FIRST}",
    }[reply[0]]
