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


_NOTE_LINES = Script.inline("""
-- Note the digests of lines, and where their upload begins; 0 if another number is stored.
-- KEYS[1] the user's prefix   ARGV 1 import id   2 number of the first line, from 0   3 digests
--         4 number of the upload's first line   5 seconds to remember them   6 stored lines
local import = KEYS[1] .. 'import:' .. ARGV[1]
if tonumber(redis.call('HGET', import, 'lines') or 0) ~= tonumber(ARGV[6]) then
  return 0
end
redis.call('SETRANGE', import .. ':lines', 8 * tonumber(ARGV[2]), ARGV[3])
redis.call('EXPIRE', import .. ':lines', ARGV[5])
local uploads = redis.call('HGET', import, 'uploads') or '0'
if not string.find(' ' .. uploads .. ' ', ' ' .. ARGV[4] .. ' ', 1, true) then
  redis.call('HSET', import, 'uploads', uploads .. ' ' .. ARGV[4])
  redis.call('EXPIRE', import, ARGV[5])
end
return 1
""")
_DIGEST_BYTES, _MOST_DIGESTS = 8, 1_000_000


@dataclass(frozen=True, slots=True)
class StoredUploads:
    """The lines that the uploads under one import id have stored.

    Attributes:
        lines: Number of stored lines.
        starts: Number of the first line of each upload, ascending.
        digests: Eight bytes per line; shorter if digests were not stored.
    """

    lines: int
    starts: tuple[int, ...]
    digests: bytes

    def digest(self, number: int) -> bytes:
        """The digest of a line; empty if it is unknown."""
        digest = self.digests[_DIGEST_BYTES * number : _DIGEST_BYTES * (number + 1)]
        return digest if len(digest) == _DIGEST_BYTES and any(digest) else b""

    def range_of(self, first: bytes) -> tuple[int, int]:
        """Begin and end of the latest upload with this first line; the end twice if there is none.

        Args:
            first: The digest of its first line.
        """
        end = self.lines
        for start in reversed(self.starts):
            known = self.digest(start)
            if start < end and known in {first, b""}:
                return start, end
            end = min(end, start)
        return self.lines, self.lines


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

    async def stored_uploads(self, user: User, import_id: str) -> StoredUploads:
        """What is stored under an import id."""
        name = keys.import_progress(user, import_id)
        lines, starts = await self._call(self._commands.hmget(name, ["lines", "uploads"]))
        if not lines:
            return StoredUploads(0, (0,), b"")
        digests = await self._call(self._commands.get(keys.imported_lines(user, import_id)))
        known = sorted(map(int, (starts or b"0").split()))
        return StoredUploads(int(lines), tuple(known), digests or b"")

    async def note_lines(
        self,
        user: User,
        step: ImportStep,
        digests: Sequence[bytes],
        *,
        base: int,
        stored: int,
    ) -> bool:
        """Note the digests of lines; those of a million lines are kept.

        Args:
            user: The user who imports.
            step: The position of the lines in the import.
            digests: Eight bytes per line.
            base: Number of the upload's first line.
            stored: Lines that should be stored now.

        Returns:
            Whether so many are stored.
        """
        kept = digests if step.lines_after <= _MOST_DIGESTS else ()
        arguments = (step.import_id, step.lines_before, b"".join(kept), base)
        return bool(
            await self._connection.run(
                _NOTE_LINES, keys.prefix(user), *arguments, _IMPORT_SECONDS, stored
            )
        )

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
