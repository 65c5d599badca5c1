"""Sessions: created, listed, changed, summarized, closed, forked and deleted."""

import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from onionskin.memory.errors import UnknownSessionError
from onionskin.memory.merge_patch import merge_metadata
from onionskin.memory.store import keys
from onionskin.memory.store.aof_rewrite import AofRewrite
from onionskin.memory.store.encryption.ciphers import Cipher
from onionskin.memory.store.encryption.keyring import Argument
from onionskin.memory.store.redis.scripts import Script
from onionskin.memory.store.repository import Repository, StoreContext
from onionskin.memory.store.script_io import (
    ENCRYPTED_FIELDS,
    SESSION_FIELDS,
    encrypted_field,
    new_session_id,
    parse_session,
)
from onionskin.memory.types.branches import NONE_ABANDONED, Abandoned
from onionskin.memory.types.messages import Session, SummaryState, User

_UPDATE = Script("update_session", durable=True)
_FORK = Script("byte_count", "branches", "fork_session", durable=True)
_COPY = Script("byte_count", "copy_session", durable=True)
DELETE_SESSION = Script("byte_count", "record_writes", "delete_session", durable=True)
_CLOSE = Script.inline(
    """
-- Close a session; 0 if there is none. KEYS[1] the user's prefix   ARGV 1 session id
local session = KEYS[1] .. 'session:' .. ARGV[1]
if redis.call('EXISTS', session) == 0 then
  return 0
end
redis.call('HSET', session, 'closed', '1')
return 1
""",
    durable=True,
)
_SAVE_SUMMARY = Script.inline("""
-- Replace a session's summary if it is still the one that was read.
-- KEYS[1] the user's prefix
-- ARGV    1 session id   2 folded_upto and 3 summarized_upto as read
--         4 folded_upto   5 summarized_upto   6 summary   7 fallback summary, all new
--         8 its abandoned messages as read
local session = KEYS[1] .. 'session:' .. ARGV[1]
local length, folded, summarized, abandoned =
  unpack(redis.call('HMGET', session, 'length', 'folded_upto', 'summarized_upto', 'abandoned'))
if not length or tonumber(folded) ~= tonumber(ARGV[2]) or (abandoned or '') ~= ARGV[8]
    or tonumber(summarized) ~= tonumber(ARGV[3]) or tonumber(ARGV[4]) > tonumber(length) then
  return 0
end
redis.call('HSET', session, 'folded_upto', ARGV[4], 'summarized_upto', ARGV[5],
  'summary', ARGV[6], 'extract', ARGV[7])
return 1
""")
_PAGE, _SCAN_COUNT = 1000, 500
_COPIED_FIELDS = ("title", "follows", "metadata")
_SUMMARY_FIELDS = ("folded_upto", "summarized_upto", "summary", "extract")
_ALL_MESSAGES = -1


@dataclass(frozen=True, slots=True)
class _Original:
    """The decrypted beginning of a session: its fields, and messages with vectors (or None)."""

    session_id: str
    fields: dict[str, bytes]
    messages: list[tuple[bytes, bytes | None]]


class Sessions(Repository):
    """The sessions of a user.

    Args:
        context: The connection, keyring and options of the store.
        aof_rewrite: Notes deletions for the append-only file.
    """

    def __init__(self, context: StoreContext, aof_rewrite: AofRewrite) -> None:
        super().__init__(context)
        self._aof_rewrite = aof_rewrite

    async def get(self, user: User, session_id: str) -> Session:
        """One session's metadata and summary.

        Raises:
            UnknownSessionError: The user has no such session, or it has expired.
        """
        name = keys.session(user, session_id)
        fields = await self._call(self._commands.hmget(name, list(SESSION_FIELDS)))
        if fields[0] is None or float(fields[1]) <= self._retention.horizon(user):
            raise UnknownSessionError(session_id)
        return parse_session(session_id, fields, await self._keyring.cipher_for(user, fields))

    async def exists(self, user: User, session_id: str) -> bool:
        """Whether there is a session that has not expired."""
        active = await self._call(self._commands.hget(keys.session(user, session_id), "active"))
        return active is not None and float(active) > self._retention.horizon(user)

    def horizon(self, user: User) -> float:
        """The time of last activity up to which sessions are expired; Unix seconds."""
        return self._retention.horizon(user)

    async def ids(self, user: User) -> list[str]:
        """The ids of all sessions, the longest inactive first."""
        names = await self._call(self._commands.zrange(keys.sessions(user), 0, -1))
        return [name.decode() for name in names]

    async def fields(self, user: User, session_id: str) -> dict[str, bytes]:
        """All fields of a session's hash, decrypted; none if there is no such session."""
        stored = await self._call(self._commands.hgetall(keys.session(user, session_id)))
        cipher = await self._keyring.cipher_for(user, list(stored.values()))
        fields = {name.decode(): value for name, value in stored.items()}
        for name in ENCRYPTED_FIELDS:
            if name in fields:
                fields[name] = cipher.decrypt(f"session:{session_id}:{name}", fields[name])
        return fields

    async def all(self) -> AsyncIterator[tuple[User, str]]:
        """Every session of every user, by SCAN, in no order."""
        async for name in self._connection.scan_keys(keys.SESSION_KEYS, _SCAN_COUNT):
            yield keys.parse_session(name)

    async def create(
        self,
        user: User,
        *,
        now: float,
        carry: int,
        title: str = "",
        profile: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> Session:
        """Create an empty session, which continues the latest `carry` sessions."""
        session_id, epoch = new_session_id(), secrets.token_hex(8)
        given = _given_fields(title=title or None, profile=profile, metadata=metadata)
        await self._keyring.run_write(
            user,
            _UPDATE,
            lambda cipher: (
                *(session_id, 1, now, epoch, carry),
                *_flat_fields(cipher, session_id, given),
            ),
        )
        return await self.get(user, session_id)

    async def update(
        self,
        user: User,
        session_id: str,
        *,
        title: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Session:
        """Change a session's title, and merge into its metadata (RFC 7386); None leaves a value.

        Raises:
            UnknownSessionError: The user has no such session.
        """
        while True:  # until no other writer comes in between
            await self.get(user, session_id)
            expected, merged = b"", metadata
            if metadata is not None:
                stored, before = await self._metadata(user, session_id)
                expected, merged = b"=" + stored, merge_metadata(before, metadata)
            given = _given_fields(title=title, metadata=merged)
            changed = partial(_changed_fields, session_id, expected, given)
            done = await self._keyring.run_write(user, _UPDATE, changed)
            if done > 0:
                return await self.get(user, session_id)
            if not done:
                raise UnknownSessionError(session_id)

    async def _metadata(self, user: User, session_id: str) -> tuple[bytes, dict[str, Any]]:
        """A session's metadata as stored, and decoded."""
        name = keys.session(user, session_id)
        stored = await self._call(self._commands.hget(name, "metadata")) or b""
        cipher = await self._keyring.cipher_for(user, [stored])
        text = cipher.decrypt(f"session:{session_id}:metadata", stored).decode()
        return stored, json.loads(text or "{}")

    async def save_summary(
        self,
        user: User,
        session_id: str,
        read: SummaryState,
        summary: SummaryState,
        *,
        abandoned: Abandoned = NONE_ABANDONED,
    ) -> bool:
        """Replace the summary `read` by `summary`; False if another worker was faster.

        Nothing is replaced either if other messages than `abandoned` are abandoned by now.
        """
        place = f"session:{session_id}"
        reply = await self._keyring.run_write(
            user,
            _SAVE_SUMMARY,
            lambda cipher: (
                session_id,
                read.compacted_upto,
                read.summarized_upto,
                summary.compacted_upto,
                summary.summarized_upto,
                cipher.encrypt(f"{place}:summary", summary.summary),
                cipher.encrypt(f"{place}:extract", summary.fallback_summary),
                str(abandoned),
            ),
        )
        return bool(reply)

    async def close(self, user: User, session_id: str) -> None:
        """Close a session: it stays readable, but takes no more messages.

        Raises:
            UnknownSessionError: The user has no such session.
        """
        if not await self._connection.run(_CLOSE, keys.prefix(user), session_id):
            raise UnknownSessionError(session_id)

    async def reopen(self, user: User, session_id: str) -> None:
        """Reopen a closed session; its summary stays.

        Raises:
            UnknownSessionError: The user has no such session.
        """
        arguments = (session_id, 0, 0, "", "", "closed", "0")
        if not await self._keyring.run_write(user, _UPDATE, lambda _: arguments):
            raise UnknownSessionError(session_id)

    async def delete(self, user: User, session_id: str, *, horizon: float | None = None) -> int:
        """Delete a session, if it was not active after `horizon`; how many messages it had.

        Raises:
            UnknownSessionError: There is no such session, or it was active after `horizon`.
        """
        last = "" if horizon is None else horizon
        arguments = (session_id, self._log_length, last)
        count = await self._connection.run(DELETE_SESSION, keys.prefix(user), *arguments)
        if count < 0:
            raise UnknownSessionError(session_id)
        await self._aof_rewrite.mark_erasure(now=self._retention.clock())
        return count

    async def fork(
        self,
        user: User,
        session_id: str,
        *,
        now: float,
        upto: int | None = None,
        profile: str = "",
    ) -> Session:
        """Copy the first live messages of a session, with their vectors, into a new one.

        The summary is copied too, unless it covers more than the copied messages.

        Args:
            user: The owner of both sessions.
            session_id: The session to copy; it may be closed.
            now: Creation time of the copy, Unix seconds.
            upto: Number of live messages; None, or more than there are, for all.
            profile: The memory profile of the copy; the original's if empty.

        Raises:
            UnknownSessionError: The user has no such session.
        """
        await self.get(user, session_id)
        copy = new_session_id()
        if self._keyring.masters:  # values are bound to their position: decrypt and encrypt them
            original = await self._read_original(user, session_id, upto)
            await self._save_copy(user, original, copy, now=now, profile=profile)
            return await self.get(user, copy)
        count = _ALL_MESSAGES if upto is None else upto
        copied = await self._connection.run(
            _FORK, keys.prefix(user), session_id, copy, count, now, profile, self._log_length
        )
        if copied < 0:
            raise UnknownSessionError(session_id)
        return await self.get(user, copy)

    async def list(
        self, user: User, *, after: tuple[float, str] | None, count: int
    ) -> list[Session]:
        """Sessions by last activity, the latest first; `after` is the last one of the page before.

        A session that becomes active between two pages moves to the front; none is skipped.
        """
        name, start = keys.sessions(user), 0
        if after:
            active, last = after
            if await self._call(self._commands.zscore(name, last)) == active:
                start = await self._call(self._commands.zrevrank(name, last)) + 1
            else:
                start = await self._call(self._commands.zcount(name, f"({active!r}", "+inf"))
        sessions: list[Session] = []
        ids = await self._call(self._commands.zrange(name, start, start + count - 1, desc=True))
        for session_id in ids:
            try:
                sessions.append(await self.get(user, session_id.decode()))
            except UnknownSessionError:
                continue  # deleted between the two reads
        return sessions

    async def _read_original(self, user: User, session_id: str, upto: int | None) -> _Original:
        """Read live messages, page by page: transcripts only grow, so pages fit together."""
        fields = await self.fields(user, session_id)
        if not fields:
            raise UnknownSessionError(session_id)
        abandoned = Abandoned.parse(fields.get("abandoned", b"").decode())
        runs = abandoned.live(0, int(fields["length"]))
        pages = [run[start : start + _PAGE] for run in runs for start in range(0, len(run), _PAGE)]
        for name in ("folded_upto", "summarized_upto"):  # positions of the copy
            fields[name] = str(abandoned.count_live(0, int(fields[name]))).encode()
        messages: list[tuple[bytes, bytes | None]] = []
        for whole_page in pages:
            page = whole_page if upto is None else whole_page[: upto - len(messages)]
            if not page:
                break
            start, last = page[0], page[-1]
            ids = [f"{session_id}:{position}" for position in page]
            packed = await self._call(
                self._commands.lrange(keys.messages(user, session_id), start, last)
            )
            vectors = await self._call(self._commands.hmget(keys.vectors(user), ids))
            cipher = await self._keyring.cipher_for(user, [*packed, *vectors])
            if len(packed) < len(ids):
                raise UnknownSessionError(session_id)  # deleted in between
            for entry_id, data, encrypted in zip(ids, packed, vectors, strict=True):
                vector = encrypted and cipher.decrypt(f"vectors:{entry_id}", encrypted)
                messages.append((cipher.decrypt(f"messages:{entry_id}", data), vector))
        return _Original(session_id, fields, messages)

    async def _save_copy(
        self, user: User, original: _Original, copy: str, *, now: float, profile: str
    ) -> None:
        fields = _copied_fields(original, now=now, profile=profile)

        def arguments(cipher: Cipher) -> Sequence[Argument]:
            values: list[Argument] = [original.session_id, copy, now]
            values += (self._log_length, len(fields))
            for name, value in fields.items():
                values += (name, encrypted_field(cipher, copy, name, value))
            for position, (data, vector) in enumerate(original.messages):
                place = f"{copy}:{position}"
                values.append(cipher.encrypt(f"messages:{place}", data))
                values.append(cipher.encrypt(f"vectors:{place}", vector or b""))
            return values

        if await self._keyring.run_write(user, _COPY, arguments) < 0:
            raise UnknownSessionError(original.session_id)


def _copied_fields(original: _Original, *, now: float, profile: str) -> dict[str, Argument]:
    fields, count = original.fields, len(original.messages)
    copied: dict[str, Argument] = {
        "created": now,
        "active": now,
        "closed": "0",
        "profile": profile or fields["profile"],
        "extracted_upto": count,
    }
    copied |= {name: fields.get(name, b"") for name in _COPIED_FIELDS}
    if int(fields["folded_upto"]) <= count:
        return copied | {name: fields[name] for name in _SUMMARY_FIELDS}
    return copied | {name: 0 if name.endswith("upto") else b"" for name in _SUMMARY_FIELDS}


def _given_fields(
    *,
    title: str | None = None,
    profile: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    packed = None if metadata is None else json.dumps(metadata, ensure_ascii=False)
    given = {"title": title, "profile": profile, "metadata": packed}
    given["titled"] = None if title is None else "1"  # an edit of the first message keeps it
    return {name: value for name, value in given.items() if value is not None}


def _changed_fields(
    session_id: str, expected: bytes, given: dict[str, str], cipher: Cipher
) -> list[Argument]:
    return [session_id, 0, 0, "", expected, *_flat_fields(cipher, session_id, given)]


def _flat_fields(cipher: Cipher, session_id: str, given: dict[str, str]) -> list[Argument]:
    return [
        part
        for name, value in given.items()
        for part in (name, encrypted_field(cipher, session_id, name, value))
    ]
