"""Restoring what was exported: batches of pieces, each whole, once, or not at all.

What there is of a user, by id, in one order; and each as it is stored.
"""

import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from onionskin.memory.errors import ImportConflictError
from onionskin.memory.store import keys
from onionskin.memory.store import script_io as decode
from onionskin.memory.store.codec import pack_record, pack_step
from onionskin.memory.store.encryption.ciphers import Cipher
from onionskin.memory.store.encryption.keyring import Argument
from onionskin.memory.store.redis.scripts import Script
from onionskin.memory.store.script_io import (
    ENCRYPTED_FIELDS,
    encrypted_field,
    encrypted_messages,
    encrypted_vector,
)
from onionskin.memory.store.store import RedisStore
from onionskin.memory.store.users import scan_keys
from onionskin.memory.types.messages import ImportStep, Message, User, Vector
from onionskin.memory.types.records import HISTORY_SECONDS, Record, RecordChange

_RESTORE = Script("weigh", "restore", durable=True)
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
    step: RecordChange


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

    reply = await store.keyring.run_write(user, _RESTORE, arguments)
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
            sid, first, messages = piece.session_id, piece.first, piece.messages
            said = encrypted_messages(cipher, sid, first, messages, embedder_tag=embedder_tag)
            return ["messages", sid, first, len(messages), *said]
        case RecordPiece():
            record = piece.record
            sealed = cipher.seal(f"records:{record.id}", pack_record(record))
            packed = f"{record.revision} ".encode() + sealed
            vector = encrypted_vector(cipher, record.id, piece.vector, embedder_tag)
            return [
                "record",
                record.id,
                packed,
                cipher.blind_index("topic", record.topic or ""),
                vector,
            ]
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


async def session_ids(store: RedisStore, user: User) -> list[str]:
    """The ids of the user's sessions, sorted."""
    found = await store.connection.call(
        store.connection.commands.zrange(keys.sessions(user), 0, -1)
    )
    return sorted(one.decode() for one in found)


async def session_fields(store: RedisStore, user: User, session_id: str) -> dict[str, bytes]:
    """All that a session's hash holds, opened; nothing if there is no such session."""
    found = await store.connection.call(
        store.connection.commands.hgetall(keys.session(user, session_id))
    )
    cipher = await store.keyring.cipher_for(user, list(found.values()))
    return {
        name.decode(): cipher.open(f"session:{session_id}:{name.decode()}", value)
        if name.decode() in ENCRYPTED_FIELDS
        else value
        for name, value in found.items()
    }


async def memory_ids(store: RedisStore, user: User) -> list[str]:
    """The ids of the user's records, and of deleted ones that have a history yet, sorted."""
    held = await store.connection.call(store.connection.commands.hkeys(keys.records(user)))
    found = {one.decode() for one in held}
    beginning = keys.history(user, "")
    async for name in scan_keys(store, f"{beginning}*"):
        found.add(name.removeprefix(beginning))
    return sorted(found)


async def read_record(store: RedisStore, user: User, record_id: str) -> Record | None:
    """A record as it is stored, expired or not; None if there is none."""
    packed = await store.connection.call(
        store.connection.commands.hget(keys.records(user), record_id)
    )
    if not packed:
        return None
    cipher = await store.keyring.cipher_for(user, [decode.without_revision(packed)])
    return decode.record(record_id, packed, cipher)
