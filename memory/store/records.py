"""Records in Redis: written with compare-and-set, all or none, their history beside them.

What was released from quarantine, in Redis.
"""

import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from onionskin.memory.errors import (
    RecordConflictError,
    RecordsFullError,
    TopicTakenError,
    UnknownRecordError,
    UnknownSessionError,
)
from onionskin.memory.store import keys
from onionskin.memory.store import script_io as decode
from onionskin.memory.store.codec import pack_record, pack_step, unpack_step
from onionskin.memory.store.encryption.ciphers import Cipher
from onionskin.memory.store.encryption.keyring import Argument
from onionskin.memory.store.redis.scripts import Script
from onionskin.memory.store.script_io import encrypted_vector
from onionskin.memory.store.store import RedisStore
from onionskin.memory.types.messages import Entry, User, Vector
from onionskin.memory.types.records import Record, RecordChange

_RECORD = Script("weigh", "record", durable=True)
_PAGE = 500


@dataclass(frozen=True, slots=True)
class RecordWrite:
    """A change of one record.

    Attributes:
        record: as it is to be, its revision one more than that of `before`; None to delete.
        before: what it replaces; None for a new one.
        vector: `(dim,)`; None leaves that of before.
        step: what to note in its history, if anything.
    """

    record: Record | None
    before: Record | None = None
    vector: Vector | None = None
    step: RecordChange | None = None


@dataclass(frozen=True, slots=True)
class ExtractionRange:
    """A stretch of a session that records were drawn from.

    Attributes:
        start, end: it was extracted up to `start` before, and is up to `end` after the write.
        outcome: how it went, to be counted.
        useless: how many drawn records could not be used.
    """

    session_id: str
    start: int
    end: int
    outcome: str
    useless: int = 0


async def write_records(
    store: RedisStore,
    user: User,
    writes: Sequence[RecordWrite],
    *,
    most: int = 0,
    extracted: ExtractionRange | None = None,
    epoch: str = "",
) -> bool:
    """Do all of the writes, or none.

    Args:
        store: where.
        user: whose records.
        writes: one for each record.
        most: the most records that the user may have; 0 for any number.
        extracted: from where they were drawn; noted with them.
        epoch: the user's, where what is written was read before; nothing of it comes back once
            they were erased.

    Returns:
        False when another worker extracted that stretch before, and nothing was written.

    Raises:
        UnknownSessionError: the session that they were drawn from is gone.
        UnknownRecordError: one that is to be deleted is gone already.
        RecordConflictError: one was changed meanwhile.
        TopicTakenError: another record holds the topic of one.
        RecordsFullError: the user would have more than are allowed.
    """
    new_epoch = secrets.token_hex(8)

    def arguments(cipher: Cipher) -> Sequence[Argument]:
        values: list[Argument] = [
            new_epoch,
            store.log_length,
            store.retention.history_seconds(user),
            most,
        ]
        values += (*_stretch(extracted), epoch)
        for write in writes:
            values += _values(store, write, cipher)
        return values

    reply = await store.keyring.run_write(user, _RECORD, arguments)
    if reply[0] == b"erased":
        raise UnknownRecordError(writes[0].record.id if writes and writes[0].record else "")
    if reply[0] == b"gone" and extracted:
        raise UnknownSessionError(extracted.session_id)
    _check(reply)
    return reply[0] == b"ok"


def _stretch(extracted: ExtractionRange | None) -> tuple[str | int, ...]:
    if extracted is None:
        return ("", 0, 0, "", 0)
    end, outcome = extracted.end, extracted.outcome
    return (extracted.session_id, extracted.start, end, outcome, extracted.useless)


def _values(store: RedisStore, write: RecordWrite, cipher: Cipher) -> list[Argument]:
    record, before = write.record, write.before
    either = record or before
    if either is None:
        raise ValueError("a write is of some record")
    return [
        either.id,
        before.revision if before else 0,
        record.revision if record else 0,
        cipher.seal(f"records:{either.id}", pack_record(_stored(record))) if record else b"",
        encrypted_vector(cipher, either.id, write.vector, store.embedder_tag),
        cipher.blind_index("topic", (record.topic or "") if record else ""),
        cipher.seal(f"history:{either.id}", _packed_step(write.step)) if write.step else b"",
        cipher.blind_index("topic", (before.topic or "") if before else ""),
    ]


def _packed_step(step: RecordChange) -> bytes:
    return pack_step(replace(step, record=_stored(step.record)))


def _stored(record: Record) -> Record:
    """Without what the policy says of it, which may be another one when it is read."""
    return replace(record, kept_until=None) if record.kept_until else record


def _check(reply: list[Any]) -> None:
    match reply[0]:
        case b"conflict":
            raise RecordConflictError(reply[1].decode())
        case b"unknown":
            raise UnknownRecordError(reply[1].decode())
        case b"topic":
            raise TopicTakenError(reply[1].decode())
        case b"full":
            raise RecordsFullError(reply[1])
        case _:
            return


async def read_history(store: RedisStore, user: User, record_id: str) -> tuple[RecordChange, ...]:
    """The history of a record, the oldest step first; empty where nothing is known of it."""
    commands, call = store.connection.commands, store.connection.call
    packed = await call(commands.lrange(keys.history(user, record_id), 0, -1))
    cipher = await store.keyring.cipher_for(user, packed)
    return tuple(unpack_step(cipher.open(f"history:{record_id}", step)) for step in packed)


async def read_records(store: RedisStore, user: User) -> AsyncIterator[tuple[Entry, Record]]:
    """Every record, and as an index holds it."""
    commands, call = store.connection.commands, store.connection.call
    ids = await call(commands.hkeys(keys.records(user)))
    for start in range(0, len(ids), _PAGE):
        page = [one.decode() for one in ids[start : start + _PAGE]]
        packed = await call(commands.hmget(keys.records(user), page))
        vectors = await call(commands.hmget(keys.vectors(user), page))
        cipher = await store.keyring.cipher_for(
            user, [*map(decode.without_revision, packed), *vectors]
        )
        for record_id, data, vector in zip(page, packed, vectors, strict=True):
            if data:
                record = decode.record(record_id, data, cipher)
                opened = decode.record_vector(record_id, vector, cipher, store.embedder_tag)
                yield record.entry(opened), record


_RELEASE = Script("release", durable=True)


async def release(store: RedisStore, user: User, ids: Sequence[str]) -> int:
    """Release messages and records; how many were not released before."""
    return await store.connection.run(_RELEASE, keys.prefix(user), store.log_length, *ids)


async def read_released(store: RedisStore, user: User) -> set[str]:
    """The ids of all that was released."""
    found = await store.connection.call(store.connection.commands.smembers(keys.released(user)))
    return {one.decode() for one in found}
