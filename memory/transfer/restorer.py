"""Restores an export: the same sessions, positions, times, summaries and memories, resumable.

The privacy policy of the restoring deployment applies, whatever policy the exporter had.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace

import msgspec

from onionskin.memory.errors import InvalidInputError
from onionskin.memory.privacy.conversation_redactor import ConversationRedactors
from onionskin.memory.privacy.policy import PrivacyPolicy
from onionskin.memory.records.drafts import redact_fields
from onionskin.memory.retrieval import Embedder, embed_in_batches
from onionskin.memory.store import (
    MessagesPiece,
    Piece,
    RecordPiece,
    RedisStore,
    SessionPiece,
    StepPiece,
)
from onionskin.memory.time_zones import TimeZone
from onionskin.memory.transfer.format import (
    EXPORT_VERSION,
    EndLine,
    Header,
    Line,
    MemoryLine,
    MessageLine,
    SessionLine,
    StepLine,
    from_json,
    read_lines,
)
from onionskin.memory.transfer.importer import ImportReport
from onionskin.memory.transfer.upload_progress import UploadProgress
from onionskin.memory.transfer.validation import ExportOrderError, ExportValidator
from onionskin.memory.types.messages import Message, ToolCall, ToolResult, User
from onionskin.memory.types.records import Record

_BATCH, _BATCH_BYTES = 200, 1 << 21
_LONGEST_LINE_BYTES = 1 << 22
_INVALID = (msgspec.MsgspecError, ExportOrderError, OverflowError, RecursionError, UnicodeError)


def redact_line(line: Line, redactors: ConversationRedactors, privacy: PrivacyPolicy) -> Line:
    """A line as it is stored.

    Raises:
        InvalidInputError: A memory's topic contains text that may not be stored.
    """
    match line:
        case MessageLine():
            message = redactors.redact_message(line.session, _message(line))
            return msgspec.structs.replace(
                line,
                content=message.content,
                author=message.author,
                calls=tuple((call.id, call.name, call.arguments) for call in message.calls),
                results=tuple((one.call_id, one.name, one.content) for one in message.results),
                metadata=message.metadata,
            )
        case SessionLine():
            texts = {name: getattr(line, name) for name in ("title", "summary", "extract")}
            more = privacy.redact_json(line.more)
            return msgspec.structs.replace(line, **privacy.redact_json(texts), more=more)
        case MemoryLine():
            return MemoryLine(_redact_record(line.record, privacy))
        case StepLine():
            record = _redact_record(line.step.record, privacy)
            return StepLine(line.memory, replace(line.step, record=record))
        case _:
            return line


def _redact_record(record: Record, privacy: PrivacyPolicy) -> Record:
    names = ("topic", "content", "tags", "entities", "metadata")
    return replace(
        record, **redact_fields({name: getattr(record, name) for name in names}, privacy)
    )


@dataclass(slots=True)
class _Batch:
    """Lines that are stored together, each with its number in the history if it is a step."""

    before: int
    lines: list[tuple[Line, int]] = field(default_factory=list[tuple[Line, int]])
    size_bytes: int = 0

    @property
    def is_full(self) -> bool:
        return len(self.lines) >= _BATCH or self.size_bytes >= _BATCH_BYTES


@dataclass(slots=True)
class _Tally:
    messages: int = 0
    memories: int = 0
    sessions: dict[str, None] = field(default_factory=dict[str, None])

    def add(self, batch: _Batch) -> None:
        for line, _ in batch.lines:
            if isinstance(line, SessionLine | MessageLine):
                self.sessions[line.id if isinstance(line, SessionLine) else line.session] = None
            self.messages += isinstance(line, MessageLine)
            self.memories += isinstance(line, MemoryLine)


class Restorer:
    """Stores the lines of an export, in constant memory.

    Args:
        store: Destination of the lines.
        embedder: A local one embeds at once; vectors of a remote one are made later.
        clock: Current time in Unix seconds; restored histories expire when they would have.
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
            ImportConflictError: A session or memory already exists, or another import with this id
                is running.
        """
        upload = await UploadProgress.open(self._store, user, import_id)
        order, tally, batch = ExportValidator(), _Tally(), _Batch(0)
        redactors = ConversationRedactors(self._privacy)
        number, accepted, has_header, zone = 0, 0, False, ""
        try:
            async for raw in read_lines(chunks, longest=_LONGEST_LINE_BYTES):
                number += 1
                is_stored = upload.is_stored(number, raw)
                batch.before = max(batch.before, upload.resumed_after)
                if raw.strip():
                    if has_header:
                        line = _parse(raw, number, order)
                    else:
                        line, has_header, zone = None, True, _check_header(raw).time_zone
                    line = line and redact_line(line, redactors, self._privacy)
                    if line and not is_stored:
                        if batch.is_full:
                            batch = await self._flush(user, upload, batch, accepted, tally)
                        batch.lines.append((line, order.steps - 1))
                        batch.size_bytes += len(raw)
                accepted = number
            _check_end(order, number)
        except InvalidInputError as error:
            if batch.lines:
                batch = await self._flush(user, upload, batch, accepted, tally)
            raise InvalidInputError(
                f"{error} {batch.before} lines are stored. "
                f"Correct it and send all lines again with import_id={import_id!r} to resume."
            ) from error
        if batch.lines:
            await self._flush(user, upload, batch, number, tally)
        if (known := TimeZone.stored(zone)) and not await self._store.users.time_zone(user):
            await self._store.users.set_time_zone(user, known.name)
        sessions = tuple(tally.sessions)
        resumed = upload.resumed_after
        lines = max(number, resumed)
        return ImportReport(import_id, lines, resumed, tally.messages, sessions, tally.memories)

    async def _flush(
        self, user: User, upload: UploadProgress, batch: _Batch, after: int, tally: _Tally
    ) -> _Batch:
        pieces = await self._pieces(batch)
        async with upload.step(batch.before, after) as step:
            await self._store.transfer.restore(user, pieces, step=step, now=self._clock())
        tally.add(batch)
        return _Batch(after)

    async def _pieces(self, batch: _Batch) -> list[Piece]:
        texts = [text for line, _ in batch.lines if (text := _text(line)) is not None]
        vectors = iter(await embed_in_batches(self._embedder, texts))
        pieces: list[Piece] = []
        for line, number in batch.lines:
            match line:
                case SessionLine():
                    pieces.append(_session(line))
                case MessageLine():
                    message = (_message(line), next(vectors))
                    last = pieces[-1] if pieces else None
                    if isinstance(last, MessagesPiece):
                        pieces[-1] = MessagesPiece(
                            last.session_id, last.first, [*last.messages, message]
                        )
                    else:
                        pieces.append(MessagesPiece(line.session, line.position, [message]))
                case MemoryLine():
                    pieces.append(RecordPiece(line.record, next(vectors)))
                case StepLine():
                    pieces.append(StepPiece(line.memory, number, line.step))
                case EndLine():
                    pass
        return pieces


def _check_header(raw: bytes) -> Header:
    try:
        header = msgspec.json.decode(raw, type=Header)
    except msgspec.MsgspecError as error:
        raise InvalidInputError(
            f"The first line is not the header of an export: {error}."
        ) from error
    if header.version != EXPORT_VERSION:
        raise InvalidInputError(
            f"The export has version {header.version!r}; this Onionskin reads {EXPORT_VERSION!r}. "
            "Upgrade it."
        )
    return header


def _parse(raw: bytes, number: int, order: ExportValidator) -> Line:
    if len(raw) > _LONGEST_LINE_BYTES:
        raise InvalidInputError(f"Line {number} is longer than {_LONGEST_LINE_BYTES} bytes.")
    try:
        line = from_json(raw)
        order.accept(line)
    except _INVALID as error:
        raise InvalidInputError(f"Line {number} cannot be used: {error}.") from error
    return line


def _check_end(order: ExportValidator, number: int) -> None:
    try:
        order.end()
    except ExportOrderError as error:
        raise InvalidInputError(f"The export ends after line {number}: {error}.") from error


def _text(line: Line) -> str | None:
    match line:
        case MessageLine():
            return _message(line).spoken
        case MemoryLine():
            return line.record.content
        case _:
            return None


def _message(line: MessageLine) -> Message:
    return Message(
        line.role,
        line.content,
        line.time,
        line.author,
        line.interrupted,
        line.profile,
        tuple(ToolCall(*call) for call in line.calls),
        tuple(ToolResult(*result) for result in line.results),
        line.refused,
        line.metadata,
        line.utc_offset,
    )


def _session(line: SessionLine) -> SessionPiece:
    more = {
        name: value if isinstance(value, str) else value.base64 for name, value in line.more.items()
    }
    known: dict[str, str | float | bytes] = {
        "created": line.created,
        "active": line.active,
        "title": line.title,
        "profile": line.profile,
        "closed": "1" if line.closed else "0",
        "follows": " ".join(line.follows),
        "folded_upto": line.folded_upto,
        "summarized_upto": line.summarized_upto,
        "summary": line.summary,
        "extract": line.extract,
        "extracted_upto": line.extracted_upto,
    }
    return SessionPiece(line.id, {**more, **known})
