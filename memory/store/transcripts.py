"""Transcripts: one round trip reads all that a turn needs, another commits the turn.

The Lua script `load_turn` reads; `CommitRequest` writes.
"""

import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from onionskin.memory.errors import (
    SessionBusyError,
    SessionClosedError,
    UnknownSessionError,
    UnknownTurnError,
)
from onionskin.memory.session_lock import LOCK_MILLISECONDS, SessionLock
from onionskin.memory.store import keys
from onionskin.memory.store.commit_request import CommitRequest
from onionskin.memory.store.encryption.ciphers import Cipher
from onionskin.memory.store.encryption.keyring import Argument
from onionskin.memory.store.redis.scripts import Script
from onionskin.memory.store.repository import Repository, StoreContext
from onionskin.memory.store.script_io import (
    encrypted_vector,
    parse_changes,
    parse_entries,
    parse_snapshot,
)
from onionskin.memory.store.sessions import Sessions
from onionskin.memory.types.branches import Abandoned
from onionskin.memory.types.change_log import Changes, Cursor
from onionskin.memory.types.messages import (
    Committed,
    Entry,
    ImportStep,
    Message,
    Session,
    User,
    Vector,
    begins_turn,
    live_entries,
)
from onionskin.memory.types.prompt_trace import LayerTrace, unpack_trace
from onionskin.memory.types.snapshot import Snapshot

_LOAD_TURN = Script("change_log", "branches", "session_queue", "load_turn")
_CHANGES_SINCE = Script.inline(
    """
-- The changes after a cursor.
-- KEYS[1] the user's prefix   ARGV 1 epoch   2 sequence   3 maximum number of messages
return read_changes(KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]))
""",
    requires=("change_log",),
)
_SAVE_VECTORS = Script("byte_count", "branches", "save_vectors")
IDEMPOTENCY_SECONDS = 24 * 3600
"""How long the nonce or idempotency key of a request is remembered."""
BRIEF_SECONDS = 600
"""How long the nonce of a turn is remembered that no request names."""
_CHANGES_PER_READ = 1000
_NEVER = -1e12
"""An idle timeout that no clock difference between workers undercuts."""
_PAGE = 1000
_TURN_PAGE = 8


@dataclass(frozen=True, slots=True)
class Continuity:
    """When a session continues, and what a new one takes over from earlier ones."""

    idle_timeout: timedelta = timedelta(minutes=30)
    sessions: int = 5
    last_messages: int = 6


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """One or more messages of the user with what was answered, and what the prompt contained.

    Attributes:
        messages: The user's messages, then the assistant's; several if tools were called, none if
            the turn is unanswered.
        layers: The prompt trace; None once it has expired.
        is_abandoned: Whether the turn was replaced.
    """

    messages: tuple[Entry, ...]
    layers: tuple[LayerTrace, ...] | None
    is_abandoned: bool = False

    @property
    def message(self) -> Entry:
        """The user's first message."""
        return self.messages[0]

    @property
    def reply(self) -> Entry | None:
        """The last message of the assistant; None if there is none."""
        return self.messages[-1] if self.messages[-1].message.role == "assistant" else None


class Transcripts(Repository):
    """Messages, vectors and the change log of a user.

    Args:
        context: The connection, keyring and options of the store.
        sessions: Decides which sessions are readable.
        continuity: When sessions continue.
    """

    def __init__(self, context: StoreContext, sessions: Sessions, continuity: Continuity) -> None:
        super().__init__(context)
        self._sessions, self._continuity = sessions, continuity

    async def load_turn(
        self,
        user: User,
        session_id: str | None = None,
        *,
        now: float,
        since: Cursor | None,
        carry: bool = True,
        tail: int = 0,
        lock: SessionLock | None = None,
        fresh: bool = False,
        replaces_from: int | None = None,
    ) -> Snapshot:
        """Read all that one turn needs, in one round trip.

        Args:
            user: The user who talks.
            session_id: The session; None for the latest one, unless it is idle.
            now: The time of the turn.
            since: The cursor of the worker's index; None if the turn needs no index.
            carry: Whether to read what earlier sessions left.
            tail: Maximum number of messages from the session's end; 0 for all that are not
                summarized.
            lock: The lock that the turn takes on the session.
            fresh: Whether to begin a new session in any case.
            replaces_from: The turn replaces the session's messages from this position on: the
                snapshot is as if they were abandoned.

        Raises:
            UnknownSessionError: The user has no session `session_id`.
            SessionClosedError: The session is closed.
            SessionBusyError: Another turn holds the lock on the session.
        """
        continuity = self._continuity
        reply, cipher = await self._keyring.run_read(
            user,
            _LOAD_TURN,
            session_id or "",
            now,
            _NEVER if fresh else continuity.idle_timeout.total_seconds(),
            tail,
            continuity.sessions if carry else 0,
            continuity.last_messages,
            since.epoch if since else "-",
            since.sequence if since else 0,
            _CHANGES_PER_READ,
            lock.token if lock else "",
            LOCK_MILLISECONDS,
            lock.policy if lock else "",
            self._retention.horizon(user),
            "" if replaces_from is None else replaces_from,
        )
        if reply[0] == b"unknown":
            raise UnknownSessionError(session_id or "")
        if reply[0] == b"busy":
            raise SessionBusyError(reply[1].decode(), place=reply[2])
        snapshot = parse_snapshot(
            reply, cipher, now=now, since=since, embedder_tag=self._embedder_tag
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
        lock_token: str = "",
        nonce: str = "",
        nonce_seconds: int = 0,
        keeps_nonce: bool = False,
        trace: bytes = b"",
        replaces_from: int | None = None,
        turn_position: int | None = None,
    ) -> Committed:
        """Append messages to a session: all of them once, or none.

        Args:
            user: The owner of the session.
            session: The session; fields other than the id are used when it is created.
            messages: The messages, oldest first, with `(dim,)` vectors where they exist.
            create: Whether the session may be created.
            epoch: The user's epoch that the turn read. If the user was erased since then, the
                session is not created.
            step: The position of the batch in an import.
            lock_token: The token of the turn, whose lock on the session is released.
            nonce: The commit is stored once per nonce; random if empty.
            nonce_seconds: How long the nonce is remembered; 0 for a day, or ten minutes for a
            random
                one.
            keeps_nonce: Whether the nonce stays free for a later commit.
            trace: The prompt trace.
            replaces_from: Position from which on all live messages of the session are abandoned:
                they stay stored, but are not part of the conversation any more.
            turn_position: Position of the turn's first message, if the commit continues a turn.

        Raises:
            UnknownSessionError: The session was deleted and may not be created.
            SessionClosedError: The session is closed.
            SupersededError: A later attempt of the same request has replaced this one.
            ImportConflictError: The import has stored another number of lines than `step` says.
        """
        request = CommitRequest(
            session,
            messages,
            create=(epoch or "1") if create else "0",
            step=step,
            lock_token=lock_token,
            nonce=nonce or secrets.token_hex(8),
            nonce_seconds=nonce_seconds or (IDEMPOTENCY_SECONDS if nonce else BRIEF_SECONDS),
            trace=trace,
            embedder_tag=self._embedder_tag,
            trace_seconds=self._retention.trace_seconds(user),
            log_length=self._log_length,
            keeps_nonce=keeps_nonce,
            replaces_from=replaces_from,
            turn_position=turn_position,
        )
        return await request.execute(self._keyring, user)

    async def changes_since(self, user: User, cursor: Cursor) -> Changes:
        """The changes after a cursor, where one snapshot could not hold all of them."""
        reply, cipher = await self._keyring.run_read(
            user, _CHANGES_SINCE, cursor.epoch, cursor.sequence, _CHANGES_PER_READ
        )
        return parse_changes(reply, cipher, since=cursor, embedder_tag=self._embedder_tag)

    async def save_vectors(self, user: User, vectors: Sequence[tuple[Entry, Vector]]) -> int:
        """Store vectors of messages that were committed without; how many still exist."""

        def arguments(cipher: Cipher) -> Sequence[Argument]:
            values: list[Argument] = [self._log_length]
            for entry, vector in vectors:
                packed = encrypted_vector(cipher, entry.id, vector, self._embedder_tag)
                values += (entry.session_id, entry.position, packed)
            return values

        return await self._keyring.run_write(user, _SAVE_VECTORS, arguments)

    async def read(
        self, user: User, session_id: str, *, start: int, count: int
    ) -> tuple[Entry, ...]:
        """`messages[start:start + count]` of a session, oldest first, without vectors.

        Abandoned messages are among them; see `read_live`.
        """
        packed = await self._call(
            self._commands.lrange(keys.messages(user, session_id), start, start + count - 1)
        )
        cipher = await self._keyring.cipher_for(user, packed)
        return parse_entries(session_id, start, packed, cipher=cipher)

    async def read_live(
        self, user: User, session: Session, *, start: int = 0, count: int | None = None
    ) -> tuple[Entry, ...]:
        """The live messages of a session from a position on, oldest first, without vectors.

        Args:
            user: The owner of the session.
            session: The session as it was read.
            start: The first position.
            count: Maximum number of messages; None for all.
        """
        entries: list[Entry] = []
        for run in session.abandoned.live(start, session.length):
            left = len(run) if count is None else min(len(run), count - len(entries))
            if left <= 0:
                break
            entries += await self.read(user, session.id, start=run[0], count=left)
        return tuple(entries)

    async def read_all(self, user: User) -> AsyncIterator[tuple[Entry, ...]]:
        """Every live message of the user with its vector, page by page, to fill an index."""
        for session_id in await self._sessions.ids(user):
            abandoned, start = await self._abandoned(user, session_id), 0
            if abandoned is None or not await self._is_recalled(user, session_id, abandoned):
                continue
            while True:
                packed = await self._call(
                    self._commands.lrange(keys.messages(user, session_id), start, start + _PAGE - 1)
                )
                if not packed:
                    break
                fields = [f"{session_id}:{start + offset}" for offset in range(len(packed))]
                vectors = await self._call(self._commands.hmget(keys.vectors(user), fields))
                entries = parse_entries(
                    session_id,
                    start,
                    packed,
                    vectors,
                    cipher=await self._keyring.cipher_for(user, [*packed, *vectors]),
                    embedder_tag=self._embedder_tag,
                )
                yield live_entries(entries, abandoned)
                start += len(packed)

    async def turn(self, user: User, turn_id: str) -> StoredTurn:
        """A turn by its id.

        Raises:
            UnknownTurnError: The user has no such turn.
        """
        session_id, _, position = turn_id.partition(".")
        abandoned = await self._abandoned(user, session_id)
        if abandoned is None:
            raise UnknownTurnError(turn_id)
        entries = await self._read_turn(user, session_id, int(position), abandoned)
        if not entries or entries[0].message.role != "user":
            raise UnknownTurnError(turn_id)
        trace: bytes | None = None
        if entries[0].message.at > self._retention.trace_horizon(user):
            trace = await self._call(self._commands.get(keys.prompt_trace(user, turn_id)))
        cipher = await self._keyring.cipher_for(user, [trace])
        layers = unpack_trace(cipher.decrypt(f"shown:{turn_id}", trace)) if trace else None
        return StoredTurn(entries, layers, is_abandoned=int(position) in abandoned)

    async def _read_turn(
        self, user: User, session_id: str, position: int, abandoned: Abandoned
    ) -> tuple[Entry, ...]:
        """The messages of the turn at a position; only live ones if the first one is live."""
        entries, start = list[Entry](), position
        while True:
            page = await self.read(user, session_id, start=start, count=_TURN_PAGE)
            for entry in page:
                if (entry.position in abandoned) != (position in abandoned):
                    continue
                if entries and begins_turn(entries[-1], entry):
                    return tuple(entries)
                entries.append(entry)
            if len(page) < _TURN_PAGE:
                return tuple(entries)
            start += _TURN_PAGE

    async def entries(
        self, user: User, ids: Sequence[str], *, live: bool = False
    ) -> dict[str, Entry]:
        """Messages by their ids, without those that were deleted, or abandoned with `live`."""
        entries: dict[str, Entry] = {}
        session_ids = {entry_id.partition(":")[0] for entry_id in ids}
        abandoned = {name: await self._abandoned(user, name) for name in session_ids}
        for entry_id in dict.fromkeys(ids):
            session_id, _, position = entry_id.partition(":")
            replaced = abandoned[session_id]
            if replaced is not None and not (live and int(position) in replaced):
                for entry in await self.read(user, session_id, start=int(position), count=1):
                    entries[entry_id] = entry
        return entries

    async def _abandoned(self, user: User, session_id: str) -> Abandoned | None:
        """The abandoned messages of a session; None if there is no such session."""
        name = keys.session(user, session_id)
        active, abandoned = await self._call(self._commands.hmget(name, ["active", "abandoned"]))
        if active is None or float(active) <= self._retention.horizon(user):
            return None
        return Abandoned.parse((abandoned or b"").decode())

    async def _is_recalled(self, user: User, session_id: str, abandoned: Abandoned) -> bool:
        """Whether the last message is younger than the horizon; a copy of old ones has none."""
        name = keys.session(user, session_id)
        length = int(await self._call(self._commands.hget(name, "length")) or 0)
        runs = list(abandoned.live(0, length))
        last = await self.read(user, session_id, start=runs[-1][-1], count=1) if runs else ()
        return bool(last) and last[0].message.at > self._retention.horizon(user)
