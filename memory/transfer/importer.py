"""Imports conversations of other systems from JSON lines, in resumable batches.

A line is `{"role": "user" | "assistant", "content": "...", "author": "...", "time": "...",
"session": "...", "metadata": {...}}`. Content and one of role and author are required; a line
with only an author is
the user's. Time is ISO 8601, whose offset is stored (UTC without one), or Unix seconds. Lines
with one `session` label form one session.
"""

import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec

from onionskin.memory.errors import InvalidInputError
from onionskin.memory.privacy.conversation_redactor import ConversationRedactors
from onionskin.memory.privacy.policy import PrivacyPolicy
from onionskin.memory.retrieval import Embedder, embed_in_batches
from onionskin.memory.store import RedisStore
from onionskin.memory.time_zones import check_time, parse_time
from onionskin.memory.tokens import title_of
from onionskin.memory.transfer.format import LONGEST_LINE_BYTES, read_lines
from onionskin.memory.transfer.upload_progress import UploadProgress
from onionskin.memory.types.messages import Message, Session, User

_BATCH, _LONGEST_METADATA = 200, 4096
_SESSION_ID = re.compile(r"s_[0-9a-f]{16}\Z")


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    content: str
    role: Literal["user", "assistant"] | None = None
    author: str | None = None
    time: str | float | None = None
    session: str | None = None
    metadata: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ImportedSession:
    """What an import did for one label.

    Attributes:
        label: The `session` of the lines.
        session_id: The session that has their messages.
        status: Whether it existed before.
        messages: Messages that this attempt added to it.
    """

    label: str
    session_id: str
    status: Literal["created", "continued"]
    messages: int = 0


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The result of an import.

    Attributes:
        lines: Lines stored so far, blank ones included.
        resumed_after: Lines that earlier attempts stored.
        messages: Messages stored by this attempt.
        sessions: Ids of the sessions that this attempt wrote to, in order.
        memories: Memories stored by this attempt.
        by_label: What this attempt did for each label of a conversation.
    """

    import_id: str
    lines: int
    resumed_after: int
    messages: int
    sessions: tuple[str, ...]
    memories: int = 0
    by_label: tuple[ImportedSession, ...] = ()


@dataclass(slots=True)
class _Batch:
    session: Session
    messages: list[Message] = field(default_factory=list[Message])


class Importer:
    """Stores imported lines as sessions, in constant memory.

    Args:
        store: Destination of the lines.
        embedder: A local one embeds at once; vectors of a remote one are made later.
        clock: Time of lines that have none.
        privacy: Privacy policy for the lines.
    """

    def __init__(
        self,
        store: RedisStore,
        embedder: Embedder,
        *,
        clock: Callable[[], float],
        privacy: PrivacyPolicy,
    ) -> None:
        self._store, self._embedder, self._clock = store, embedder, clock
        self._privacy = privacy

    async def run(self, user: User, import_id: str, chunks: AsyncIterator[bytes]) -> ImportReport:
        """Store all lines of `chunks`, skipping those that an earlier attempt stored.

        Raises:
            InvalidInputError: A line is invalid. The lines before it are stored; the message says
                how to resume.
            ImportConflictError: Another import with this id is running, or the upload repeats an
                earlier one with other lines.
            SessionClosedError: A label is the id of a closed session.
        """
        upload = await UploadProgress.open(self._store, user, import_id)
        target = _Target(self._store, user, import_id)
        batch: _Batch | None = None
        number = stored = done = 0
        redactors = ConversationRedactors(self._privacy)
        try:
            async for raw in read_lines(chunks):
                number += 1
                is_stored = upload.is_stored(number, raw)
                done = max(done, upload.resumed_after)
                if not raw.strip():
                    continue
                label, message = _parse(raw, number, self._clock)
                message = redactors.redact_message(label, message)
                if is_stored:
                    continue
                session_id = await target.session_of(label)
                if batch and (batch.session.id != session_id or len(batch.messages) == _BATCH):
                    stored += await self._flush(user, upload, batch, done, number - 1)
                    batch, done = None, number - 1
                if batch is None:
                    title = self._privacy.for_storage(label or message.content)
                    batch = _Batch(_session(session_id, title, message))
                batch.messages.append(message)
                target.count(label)
        except InvalidInputError as error:
            if batch:
                await self._flush(user, upload, batch, done, number - 1)
            line_count = max(upload.resumed_after, number - 1) if batch else done
            raise InvalidInputError(
                f"{error} {line_count} lines are stored. "
                f"Correct it and send all lines again with import_id={import_id!r} to resume."
            ) from error
        if batch:
            stored += await self._flush(user, upload, batch, done, number)
        resumed = upload.resumed_after
        sessions = target.sessions
        ids = tuple(dict.fromkeys(session.session_id for session in sessions))
        lines = max(number, resumed)
        return ImportReport(import_id, lines, resumed, stored, ids, by_label=sessions)

    async def _flush(
        self, user: User, upload: UploadProgress, batch: _Batch, before: int, after: int
    ) -> int:
        vectors = await embed_in_batches(
            self._embedder, [message.spoken for message in batch.messages]
        )
        pairs = list(zip(batch.messages, vectors, strict=True))
        async with upload.step(before, after) as step:
            await self._store.transcripts.commit(user, batch.session, pairs, create=True, step=step)
        return len(batch.messages)


class _Target:
    """The sessions that an import writes to, by label."""

    def __init__(self, store: RedisStore, user: User, import_id: str) -> None:
        self._store, self._user, self._import_id = store, user, import_id
        self._by_label: dict[str, ImportedSession] = {}

    @property
    def sessions(self) -> tuple[ImportedSession, ...]:
        """The sessions so far, in order."""
        return tuple(self._by_label.values())

    async def session_of(self, label: str) -> str:
        """The session of a label: the one with this id, or the import's own."""
        known = self._by_label.get(label)
        if known is not None:
            return known.session_id
        session_id, exists = _session_id(self._import_id, label), self._store.sessions.exists
        is_known = bool(_SESSION_ID.match(label)) and await exists(self._user, label)
        if is_known:
            session_id = label
        status = "continued" if is_known or await exists(self._user, session_id) else "created"
        self._by_label[label] = ImportedSession(label, session_id, status)
        return session_id

    def count(self, label: str) -> None:
        """Count a message of the label."""
        session = self._by_label[label]
        self._by_label[label] = replace(session, messages=session.messages + 1)


def _parse(raw: bytes, number: int, clock: Callable[[], float]) -> tuple[str, Message]:
    if len(raw) > LONGEST_LINE_BYTES:
        raise InvalidInputError(f"Line {number} is longer than {LONGEST_LINE_BYTES} bytes.")
    try:
        line = msgspec.json.decode(raw, type=_Line)
        at, utc_offset = _timestamp(line.time, clock)
    except (msgspec.MsgspecError, ValueError, OverflowError, OSError) as error:
        raise InvalidInputError(f"Line {number} cannot be used: {error}.") from error
    if line.role is None and not line.author:
        raise InvalidInputError(f"Line {number} names neither role nor author.")
    if not line.content.strip() or "\0" in line.content:
        raise InvalidInputError(f"Line {number} has an empty content, or one with a NUL character.")
    author, role = line.author or None, line.role or "user"
    metadata = json.dumps(line.metadata, ensure_ascii=False) if line.metadata else ""
    if len(metadata) > _LONGEST_METADATA:
        raise InvalidInputError(
            f"Line {number} has metadata of more than {_LONGEST_METADATA} characters."
        )
    message = Message(role, line.content, at, author, metadata=metadata, utc_offset=utc_offset)
    return line.session or "", message


def _timestamp(time: str | float | None, clock: Callable[[], float]) -> tuple[float, int | None]:
    """The Unix time, and the offset of the speaker's clock if the line states one."""
    if time is None:
        return clock(), None
    if isinstance(time, str):
        return parse_time(time)
    return check_time(time), None


def _session_id(import_id: str, label: str) -> str:
    digest = hashlib.sha256(f"{import_id}\0{label}".encode()).hexdigest()
    return f"s_{digest[:16]}"


def _session(session_id: str, title: str, first: Message) -> Session:
    return Session(session_id, created=first.at, active=first.at, title=title_of(title))
