"""Records: compare-and-set writes, all or none, with their history; and quarantine releases."""

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
from onionskin.memory.store.codec import pack_record, pack_step, unpack_step
from onionskin.memory.store.encryption.ciphers import Cipher
from onionskin.memory.store.encryption.keyring import Argument
from onionskin.memory.store.redis.scripts import Script
from onionskin.memory.store.repository import Repository
from onionskin.memory.store.script_io import (
    encrypted_vector,
    parse_record,
    parse_record_vector,
    without_revision,
)
from onionskin.memory.types.branches import NONE_ABANDONED, Abandoned
from onionskin.memory.types.messages import Entry, User, Vector
from onionskin.memory.types.records import Record, RecordChange

_WRITE = Script("byte_count", "record_writes", "write_record", durable=True)
_RELEASE = Script.inline(
    """
-- Release texts from quarantine and log it; returns how many were not released before.
-- KEYS[1] the user's prefix   ARGV 1 log entries to keep   2.. ids of messages and records
local prefix, released = KEYS[1], 0
for at = 2, #ARGV do
  if redis.call('SADD', prefix .. 'released', ARGV[at]) == 1 then
    redis.call('XADD', prefix .. 'log', 'MAXLEN', '~', ARGV[1], '0-*', 'release', ARGV[at])
    released = released + 1
  end
end
return released
""",
    durable=True,
)
_PAGE = 500


@dataclass(frozen=True, slots=True)
class RecordWrite:
    """A change of one record.

    Attributes:
        record: The new state, its revision one more than that of `before`; None to delete.
        before: The state that it replaces; None for a new record.
        vector: `(dim,)`; None keeps the vector of `before`.
        step: The entry for the record's history, if any. A deletion without one deletes the
            history too.
    """

    record: Record | None
    before: Record | None = None
    vector: Vector | None = None
    step: RecordChange | None = None


@dataclass(frozen=True, slots=True)
class ExtractionRange:
    """The messages of a session that records were extracted from.

    Attributes:
        start, end: The session's `extracted_upto` before and after the write.
        abandoned: The session's abandoned messages, as read.
        outcome: How the extraction went; counted per user.
        useless: Number of extracted records that could not be used.
    """

    session_id: str
    start: int
    end: int
    outcome: str
    useless: int = 0
    abandoned: Abandoned = NONE_ABANDONED


class Records(Repository):
    """The long-term memories of a user, and what was released from quarantine."""

    def now(self) -> float:
        """The time by which records expire; Unix seconds."""
        return self._retention.clock()

    async def write(
        self,
        user: User,
        writes: Sequence[RecordWrite],
        *,
        limit: int = 0,
        extracted: ExtractionRange | None = None,
        epoch: str = "",
    ) -> bool:
        """Do all of the writes, or none.

        Args:
            user: The owner of the records.
            writes: One per record.
            limit: Maximum number of records of the user; 0 for any number.
            extracted: The messages that they were extracted from; stored with them.
            epoch: The user's epoch at the time of an earlier read. If the user was erased since
                then, nothing is written.

        Returns:
            False if another worker extracted from these messages before; nothing is written then.

        Raises:
            UnknownSessionError: The session that they were extracted from was deleted.
            UnknownRecordError: A record that is to be deleted does not exist any more.
            RecordConflictError: A record was changed in between.
            TopicTakenError: Another record has the topic of one of them.
            RecordsFullError: The user would have more records than `limit`.
        """
        new_epoch = secrets.token_hex(8)

        def arguments(cipher: Cipher) -> Sequence[Argument]:
            values: list[Argument] = [new_epoch, self._log_length]
            values += (self._retention.history_seconds(user), limit)
            values += (*_range_arguments(extracted), epoch)
            for write in writes:
                values += write_arguments(write, cipher, self._embedder_tag)
            return values

        reply = await self._keyring.run_write(user, _WRITE, arguments)
        if reply[0] == b"erased":
            raise UnknownRecordError(writes[0].record.id if writes and writes[0].record else "")
        if reply[0] == b"gone" and extracted:
            raise UnknownSessionError(extracted.session_id)
        _raise_refusal(reply)
        return reply[0] == b"ok"

    async def get(self, user: User, record_id: str) -> Record | None:
        """A record, even an expired one; None if there is none."""
        packed = await self._call(self._commands.hget(keys.records(user), record_id))
        if not packed:
            return None
        cipher = await self._keyring.cipher_for(user, [without_revision(packed)])
        return parse_record(record_id, packed, cipher)

    async def read_all(self, user: User) -> AsyncIterator[tuple[Entry, Record]]:
        """Every record, each with its entry for an index."""
        ids = await self._call(self._commands.hkeys(keys.records(user)))
        for start in range(0, len(ids), _PAGE):
            page = [record_id.decode() for record_id in ids[start : start + _PAGE]]
            packed = await self._call(self._commands.hmget(keys.records(user), page))
            vectors = await self._call(self._commands.hmget(keys.vectors(user), page))
            cipher = await self._keyring.cipher_for(
                user, [*map(without_revision, packed), *vectors]
            )
            for record_id, data, encrypted in zip(page, packed, vectors, strict=True):
                if data:
                    record = parse_record(record_id, data, cipher)
                    vector = parse_record_vector(record_id, encrypted, cipher, self._embedder_tag)
                    yield record.entry(vector), record

    async def ids_with_history(self, user: User) -> list[str]:
        """The ids of all records, and of deleted ones whose history still exists, sorted."""
        ids = {name.decode() for name in await self._call(self._commands.hkeys(keys.records(user)))}
        prefix = keys.history(user, "")
        async for name in self._connection.scan_keys(f"{prefix}*"):
            ids.add(name.removeprefix(prefix))
        return sorted(ids)

    def with_expiry(self, user: User, record: Record) -> Record:
        """The record with the time at which retention ends, if it does."""
        return self._retention.with_expiry(user, record)

    def is_expired(self, user: User, record: Record) -> bool:
        """Whether a record is older than its retention allows."""
        return self._retention.is_expired(user, record)

    def can_expire(self) -> bool:
        """Whether retention limits records of any user."""
        return self._retention.expires_memories()

    async def history(
        self, user: User, record_id: str, *, now: float | None = None
    ) -> tuple[RecordChange, ...]:
        """The readable history of a record, the oldest change first; empty if there is none.

        Args:
            user: The owner of the record.
            record_id: The record, which may be deleted.
            now: Unix seconds. Changes are left out that are older than the maximum at this time;
                None for all that retention leaves.
        """
        since = self._retention.history_horizon(user)
        if now is not None:
            since = now - self._retention.history_seconds(user)
        packed = await self._call(self._commands.lrange(keys.history(user, record_id), 0, -1))
        cipher = await self._keyring.cipher_for(user, packed)
        changes = (unpack_step(cipher.decrypt(f"history:{record_id}", step)) for step in packed)
        return tuple(change for change in changes if change.at > since)

    async def release(self, user: User, ids: Sequence[str]) -> int:
        """Release messages and records from quarantine; how many were not released before."""
        return await self._connection.run(_RELEASE, keys.prefix(user), self._log_length, *ids)

    async def released(self, user: User) -> set[str]:
        """The ids of all messages and records that were released from quarantine."""
        ids = await self._call(self._commands.smembers(keys.released(user)))
        return {released_id.decode() for released_id in ids}


def _range_arguments(extracted: ExtractionRange | None) -> tuple[str | int, ...]:
    if extracted is None:
        return ("", 0, 0, "", 0)
    read = f"{extracted.start} {extracted.abandoned}"
    outcome, useless = extracted.outcome, extracted.useless
    return (extracted.session_id, read, extracted.end, outcome, useless)


def write_arguments(write: RecordWrite, cipher: Cipher, embedder_tag: str) -> list[Argument]:
    """The arguments of one write for a script that uses `record_writes.lua`."""
    record, before = write.record, write.before
    either = record or before
    if either is None:
        raise ValueError("a write has a record, a state before it, or both")
    packed_record = pack_record(_without_policy(record)) if record else b""
    return [
        either.id,
        before.revision if before else 0,
        record.revision if record else 0,
        cipher.encrypt(f"records:{either.id}", packed_record),
        encrypted_vector(cipher, either.id, write.vector, embedder_tag),
        cipher.blind_index("topic", (record.topic or "") if record else ""),
        cipher.encrypt(f"history:{either.id}", _packed_step(write.step)) if write.step else b"",
        cipher.blind_index("topic", (before.topic or "") if before else ""),
    ]


def _packed_step(step: RecordChange) -> bytes:
    return pack_step(replace(step, record=_without_policy(step.record)))


def _without_policy(record: Record) -> Record:
    """The record without its retention limit: the policy may differ when it is read."""
    return replace(record, kept_until=None) if record.kept_until else record


def _raise_refusal(reply: list[Any]) -> None:
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
