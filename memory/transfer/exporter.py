"""Exports all data of a user as JSON lines, page by page."""

from collections.abc import AsyncIterator

from onionskin.memory.errors import UnknownSessionError
from onionskin.memory.store import SESSION_FIELDS, RedisStore
from onionskin.memory.transfer.format import (
    EXPORT_VERSION,
    Binary,
    EndLine,
    Header,
    MemoryLine,
    MessageLine,
    SessionLine,
    StepLine,
    to_json,
)
from onionskin.memory.types.messages import Entry, User

_PAGE = 200
_KNOWN = frozenset(SESSION_FIELDS) - {"metadata", "abandoned"}


async def export_user(store: RedisStore, user: User) -> AsyncIterator[bytes]:
    """All data of a user except vectors, as JSON lines; the same data give the same bytes.

    In memory are one page of messages or one memory with its history, and the ids of sessions and
    memories. Each session is read atomically; data stored during the export may be missing.

    Raises:
        UnknownSessionError: A session was deleted while its messages were read; the export ends.
    """
    lines = 0
    async for page in _pages(store, user):
        lines += page.count(b"\n")
        yield page
    yield to_json(EndLine(lines))


async def _pages(store: RedisStore, user: User) -> AsyncIterator[bytes]:
    sessions = sorted(await store.sessions.ids(user))
    yield to_json(Header(EXPORT_VERSION, await store.users.time_zone(user)))
    for session_id in sessions:
        fields = await store.sessions.fields(user, session_id)
        if not fields or float(fields["active"]) <= store.sessions.horizon(user):
            continue  # deleted since, or expired
        line = _session_line(session_id, fields)
        yield to_json(line)
        for start in range(0, line.messages, _PAGE):
            yield await _messages(store, user, line, start)
    for record_id in await store.records.ids_with_history(user):
        record = await store.records.get(user, record_id)
        if record and store.records.is_expired(user, record):
            continue
        changes = await store.records.history(user, record_id)
        lines = [StepLine(record_id, change) for change in changes]
        yield to_json(*([MemoryLine(record)] if record else []), *lines)


async def _messages(store: RedisStore, user: User, session: SessionLine, start: int) -> bytes:
    count = min(_PAGE, session.messages - start)
    entries = await store.transcripts.read(user, session.id, start=start, count=count)
    if len(entries) < count:
        raise UnknownSessionError(session.id)
    return to_json(*map(_message_line, entries))


def _message_line(entry: Entry) -> MessageLine:
    message = entry.message
    return MessageLine(
        session=entry.session_id,
        position=entry.position,
        role=message.role,
        content=message.content,
        author=message.author,
        time=message.at,
        interrupted=message.interrupted,
        profile=message.profile,
        calls=tuple((call.id, call.name, call.arguments) for call in message.calls),
        results=tuple((result.call_id, result.name, result.content) for result in message.results),
        refused=message.refused,
        metadata=message.metadata,
        utc_offset=message.utc_offset,
    )


def _session_line(session_id: str, fields: dict[str, bytes]) -> SessionLine:
    more = {
        name: _text_or_binary(value) for name, value in sorted(fields.items()) if name not in _KNOWN
    }
    return SessionLine(
        id=session_id,
        created=float(fields["created"]),
        active=float(fields["active"]),
        title=fields["title"].decode(),
        profile=fields["profile"].decode(),
        closed=fields["closed"] == b"1",
        follows=fields["follows"].decode().split(),
        folded_upto=int(fields["folded_upto"]),
        summarized_upto=int(fields["summarized_upto"]),
        summary=fields["summary"].decode(),
        extract=fields["extract"].decode(),
        extracted_upto=int(fields.get("extracted_upto", 0)),
        messages=int(fields["length"]),
        more=more,
    )


def _text_or_binary(value: bytes) -> str | Binary:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return Binary(value)
