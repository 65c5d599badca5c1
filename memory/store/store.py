"""RedisStore: a user's transcript and what hangs on it, the only source of truth.

One round trip reads all that a turn needs, one writes all that it leaves; each is one Lua script.

A commit: messages as `commit.lua` takes them, sealed for the positions that they will have.

When a session goes on, and what a new one takes up.
"""

import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from onionskin.memory.errors import (
    ImportConflictError,
    SessionBusyError,
    SessionClosedError,
    SupersededError,
    UnknownSessionError,
)
from onionskin.memory.privacy.retention import Retention
from onionskin.memory.session_lock import LOCK_MILLISECONDS, SessionLock
from onionskin.memory.store import keys
from onionskin.memory.store import script_io as decode
from onionskin.memory.store.aof_rewrite import mark_erasure
from onionskin.memory.store.encryption.ciphers import Cipher
from onionskin.memory.store.encryption.keyring import Argument, Keyring
from onionskin.memory.store.redis.connection import Connection
from onionskin.memory.store.redis.scripts import Script
from onionskin.memory.store.script_io import encrypted_messages, encrypted_vector
from onionskin.memory.types.change_log import Changes, Cursor
from onionskin.memory.types.messages import (
    Committed,
    Entry,
    ImportStep,
    Message,
    Session,
    SummaryState,
    User,
    Vector,
)
from onionskin.memory.types.snapshot import Snapshot

COMMIT = Script("weigh", "commit", durable=True)
_IMPORT_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class CommitRequest:
    """A turn, or a batch of an import.

    Attributes:
        create: whether the session may be created, as the script has it.
        nonce, nonce_seconds: under it the commit is stored once, for so long.
        trace, trace_seconds: what the prompt showed, and for how long that is kept.
        new_epoch: for a user who begins.
    """

    session: Session
    messages: Sequence[tuple[Message, Vector | None]]
    create: str
    step: ImportStep | None
    hold: str
    nonce: str
    nonce_seconds: int
    trace: bytes
    trace_seconds: int
    embedder_tag: str
    log_length: int
    new_epoch: str = field(default_factory=lambda: secrets.token_hex(8))

    async def execute(self, keyring: Keyring, user: User) -> Committed:
        """Store it; raises as `RedisStore.commit`.

        What is sealed opens only where it was sealed to stand: where another turn was faster, it
        is sealed anew for the place behind that one.
        """
        first = self.session.length
        while True:
            reply = await keyring.run_write(user, COMMIT, partial(self._values, first))
            if reply[0] != b"moved":
                return self._committed(reply)
            first = reply[1]

    def _committed(self, reply: Sequence[Any]) -> Committed:
        match reply[0]:
            case b"unknown":
                raise UnknownSessionError(self.session.id)
            case b"closed":
                raise SessionClosedError(self.session.id)
            case b"overtaken":
                raise SupersededError
            case b"conflict":
                raise ImportConflictError(
                    f"{reply[1]} lines of this import are stored, not as many as this one "
                    "counted: it runs twice. Wait for the other, then start again to resume."
                )
            case _:
                return Committed(reply[3].decode(), reply[1], reply[2], reply[4])

    def _values(self, first: int, cipher: Cipher) -> Sequence[Argument]:
        session, step = self.session, self.step
        said = encrypted_messages(
            cipher, session.id, first, self.messages, embedder_tag=self.embedder_tag
        )
        return (
            session.id,
            self.create,
            self.nonce,
            self.nonce_seconds,
            self.messages[0][0].at,
            max(message.at for message, _ in self.messages),
            session.profile,
            cipher.seal(f"session:{session.id}:title", session.title),
            " ".join(session.continued_from),
            self.new_epoch,
            self.log_length,
            step.import_id if step else "",
            step.lines_before if step else 0,
            step.lines_after if step else 0,
            _IMPORT_SECONDS,
            self.hold,
            cipher.seal(f"shown:{session.id}.{first}", self.trace),
            self.trace_seconds,
            first if cipher.binds else "",
            *said,
        )


def entries_of(
    committed: Committed, messages: Sequence[tuple[Message, Vector | None]]
) -> tuple[Entry, ...]:
    """Messages with their `(dim,)` vectors as they were stored by a commit."""
    return tuple(
        Entry(
            committed.session_id, place, message, None if vector is None else vector.astype("<f2")
        )
        for place, (message, vector) in enumerate(messages, committed.position)
    )


@dataclass(frozen=True, slots=True)
class Continuity:
    """When a session goes on, and what a new one takes up from earlier ones."""

    idle_timeout: timedelta = timedelta(minutes=30)
    sessions: int = 5
    last_messages: int = 6


_SNAPSHOT, _CATCH_UP = Script("changes", "line", "snapshot"), Script("changes", "catch_up")
_FOLD, _EMBED = Script("fold"), Script("weigh", "embed")
_CLOSE, _DROP = Script("close", durable=True), Script("weigh", "drop", durable=True)
_NONCE_SECONDS = 600
IDEMPOTENCY_SECONDS = 24 * 3600
"""How long a request that names itself is remembered."""
_CHANGES_AT_ONCE = 1000
_NEVER = -1e12  # an idle timeout that no clock of another worker undercuts


class RedisStore:
    """Every user's transcripts, folds, vectors and change log.

    Args:
        connection: how Redis is reached.
        embedder_tag: the embedder whose vectors count; others are left aside.
        continuity: when sessions go on.
        retention: for how long sessions and memories are read.
        log_length: entries a change log keeps; a view that is further behind reloads.
        keyring: how values are sealed; plain by default.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        embedder_tag: str,
        continuity: Continuity | None = None,
        retention: Retention | None = None,
        log_length: int = 1000,
        keyring: Keyring | None = None,
    ) -> None:
        self.connection, self.embedder_tag, self.log_length = connection, embedder_tag, log_length
        self.keyring = Keyring(connection) if keyring is None else keyring
        self._continuity, self.retention = continuity or Continuity(), retention or Retention()

    async def snapshot(
        self,
        user: User,
        session_id: str | None = None,
        *,
        now: float,
        view: Cursor | None,
        carry: bool = True,
        tail: int = 0,
        hold: SessionLock | None = None,
        fresh: bool = False,
    ) -> Snapshot:
        """Read all that one turn needs, in one round trip.

        Args:
            user: whose turn it is.
            session_id: the session; None for the latest, if it is not idle yet.
            now: the time of the turn.
            view: up to where the worker's index has read; None when it needs no index.
            carry: whether earlier sessions are taken up.
            tail: the most messages wanted from the session's end; 0 for all unfolded ones.
            hold: the turn's claim on the session.
            fresh: begin a new session, whatever the latest one is.

        Raises:
            UnknownSessionError: the user has no session `session_id`.
            SessionClosedError: it was closed.
            SessionBusyError: another turn holds it.
        """
        continuity = self._continuity
        reply, cipher = await self.keyring.run_read(
            user,
            _SNAPSHOT,
            session_id or "",
            now,
            _NEVER if fresh else continuity.idle_timeout.total_seconds(),
            tail,
            continuity.sessions if carry else 0,
            continuity.last_messages,
            view.epoch if view else "-",
            view.sequence if view else 0,
            _CHANGES_AT_ONCE,
            hold.token if hold else "",
            LOCK_MILLISECONDS,
            hold.policy if hold else "",
            self.retention.horizon(user),
        )
        if reply[0] == b"unknown":
            raise UnknownSessionError(session_id or "")
        if reply[0] == b"busy":
            raise SessionBusyError(reply[1].decode(), place=reply[2])
        snapshot = decode.snapshot(
            reply, cipher, now=now, view=view, embedder_tag=self.embedder_tag
        )
        if snapshot.session.closed:
            raise SessionClosedError(snapshot.session.id)
        return snapshot

    async def commit(
        self,
        user: User,
        session: Session,
        messages: Sequence[tuple[Message, Vector | None]],
        *,
        create: bool,
        epoch: str = "",
        step: ImportStep | None = None,
        hold: str = "",
        nonce: str = "",
        trace: bytes = b"",
    ) -> Committed:
        """Store messages at the end of a session, whole, once, or not at all.

        Args:
            user: whose session it is.
            session: its id; the rest of it counts when it is created.
            messages: what was said, oldest first, with `(dim,)` vectors where there are any.
            create: whether the session may be created.
            epoch: what was read is of this one; if the user was erased since, it is not created.
            step: where the batch stands in an import.
            hold: the token of the turn, whose hold on the session is given back.
            nonce: under the same nonce it is stored once; drawn if empty.
            trace: what the prompt showed.

        Raises:
            UnknownSessionError: the session is gone and may not be created.
            SessionClosedError: it was closed meanwhile.
            OvertakenError: a later try of the same request took the place of this one.
            ImportConflictError: the import stands elsewhere than `step` says.
        """
        commit = CommitRequest(
            session,
            messages,
            create=(epoch or "1") if create else "0",
            step=step,
            hold=hold,
            nonce=nonce or secrets.token_hex(8),
            nonce_seconds=IDEMPOTENCY_SECONDS if nonce else _NONCE_SECONDS,
            trace=trace,
            embedder_tag=self.embedder_tag,
            trace_seconds=self.retention.trace_seconds(user),
            log_length=self.log_length,
        )
        return await commit.execute(self.keyring, user)

    async def catch_up(self, user: User, view: Cursor) -> Changes:
        """The changes after `view`, where one snapshot did not hold them all."""
        reply, cipher = await self.keyring.run_read(
            user, _CATCH_UP, view.epoch, view.sequence, _CHANGES_AT_ONCE
        )
        return decode.changes(reply, cipher, since=view, embedder_tag=self.embedder_tag)

    async def fold(
        self, user: User, session_id: str, read: SummaryState, fold: SummaryState
    ) -> bool:
        """Replace the fold `read` by `fold`; False when another folder was faster."""
        place = f"session:{session_id}"
        reply = await self.keyring.run_write(
            user,
            _FOLD,
            lambda cipher: (
                session_id,
                read.compacted_upto,
                read.summarized_upto,
                fold.compacted_upto,
                fold.summarized_upto,
                cipher.seal(f"{place}:summary", fold.summary),
                cipher.seal(f"{place}:extract", fold.fallback_summary),
            ),
        )
        return bool(reply)

    async def embed(self, user: User, vectors: Sequence[tuple[Entry, Vector]]) -> int:
        """Store vectors that were made after their messages; how many were still wanted."""

        def arguments(cipher: Cipher) -> Sequence[Argument]:
            values: list[Argument] = [self.log_length]
            for entry, vector in vectors:
                packed = encrypted_vector(cipher, entry.id, vector, self.embedder_tag)
                values += (entry.session_id, entry.position, packed)
            return values

        return await self.keyring.run_write(user, _EMBED, arguments)

    async def close(self, user: User, session_id: str) -> None:
        """Close a session: it is read, not gone on with. UnknownSessionError if there is none."""
        if not await self.connection.run(_CLOSE, keys.prefix(user), session_id):
            raise UnknownSessionError(session_id)

    async def drop(self, user: User, session_id: str, *, horizon: float | None = None) -> int:
        """Delete a session, if it was not active after `horizon`; how many messages went."""
        run, last = self.connection.run, "" if horizon is None else horizon
        reply = await run(_DROP, keys.prefix(user), session_id, self.log_length, last)
        if reply < 0:
            raise UnknownSessionError(session_id)
        await mark_erasure(self.connection, now=self.retention.clock())
        return reply

    async def ping(self) -> None:
        """Raise StoreUnavailableError unless Redis answers."""
        await self.connection.call(self.connection.commands.ping())

    async def all_sessions(self) -> AsyncIterator[tuple[User, str]]:
        """Every session of every user, by SCAN, in no order."""
        found = self.connection.commands.scan_iter(keys.SESSION_KEYS, 500)
        while key := await self.connection.call(anext(found, None)):
            yield keys.parse_session(key.decode())
