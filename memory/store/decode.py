"""What the Lua scripts answer, turned into Strata's types."""

import secrets
from collections.abc import Sequence
from typing import Any

from memory.changes import Change, Changes, Cursor, DropSession, Put, PutRecord, Release
from memory.store.codec import unpack_message, unpack_record, unpack_vector
from memory.types import Digest, Entry, Fold, Session, Snapshot

SESSION_FIELDS = (
    "created",
    "active",
    "length",
    "title",
    "profile",
    "closed",
    "folded_upto",
    "summarized_upto",
    "summary",
    "extract",
    "follows",
    "metadata",
    "extracted_upto",
)
"""The fields of a session's hash, in the order in which `snapshot.lua` reads them."""


def snapshot(
    reply: Sequence[Any], *, now: float, view: Cursor | None, embedder_tag: str
) -> Snapshot:
    """The answer of `snapshot.lua`; a new session's id is drawn here."""
    _, session_id, fields, first, unfolded, digests, changes_reply, epoch = reply
    earlier = tuple(_digest(found) for found in digests)
    if fields:
        current = session(session_id.decode(), fields)
    else:
        follows = tuple(found.session_id for found in earlier)
        current = Session(new_session_id(), created=now, active=now, follows=follows)
    return Snapshot(
        session=current,
        is_new=not fields,
        unfolded=entries(current.id, first, unfolded),
        digests=earlier,
        epoch=epoch.decode(),
        changes=None
        if view is None
        else changes(changes_reply, since=view, embedder_tag=embedder_tag),
    )


def new_session_id() -> str:
    """A fresh session id, `s_` and 16 hexadecimal digits."""
    return f"s_{secrets.token_hex(8)}"


def session(session_id: str, fields: Sequence[bytes]) -> Session:
    """A session from its fields, in the order of `SESSION_FIELDS`."""
    created, active, length, title, profile, closed, folded, summarized = fields[:8]
    summary, extract, follows, metadata, extracted = fields[8:]
    return Session(
        session_id,
        created=float(created),
        active=float(active),
        length=int(length),
        title=title.decode(),
        profile=profile.decode(),
        closed=closed == b"1",
        fold=Fold(int(folded), int(summarized), summary.decode(), extract.decode()),
        follows=tuple(follows.decode().split()),
        metadata=metadata.decode() if metadata else "",
        extracted_upto=int(extracted or 0),
    )


def entries(
    session_id: str,
    first: int,
    packed: Sequence[bytes],
    vectors: Sequence[bytes | None] = (),
    *,
    embedder_tag: str = "",
) -> tuple[Entry, ...]:
    """Packed messages from position `first` on, with their vectors where there are any."""
    padded = vectors or [None] * len(packed)
    return tuple(
        Entry(session_id, position, unpack_message(data), unpack_vector(vector, embedder_tag))
        for position, (data, vector) in enumerate(zip(packed, padded, strict=True), first)
    )


def changes(reply: Sequence[Any], *, since: Cursor, embedder_tag: str) -> Changes:
    """The answer of `read_changes` in `changes.lua`."""
    epoch, sequence, status, items = reply
    return Changes(
        since=since,
        cursor=Cursor(epoch.decode(), sequence),
        items=tuple(_change(item, embedder_tag) for item in items),
        reload=status == b"reload",
        more=status == b"more",
    )


def _change(item: Sequence[Any], embedder_tag: str) -> Change:
    if item[0] == b"drop":
        return DropSession(item[1].decode())
    if item[0] == b"release":
        return Release(item[1].decode())
    if item[0] == b"record":
        _, record_id, data, vector = item
        if not data:
            return PutRecord(record_id.decode(), None, None)
        record = unpack_record(data)
        entry = record.entry(unpack_vector(vector, embedder_tag))
        return PutRecord(record_id.decode(), record, entry)
    _, session_id, first, packed, vectors = item
    return Put(entries(session_id.decode(), first, packed, vectors, embedder_tag=embedder_tag))


def _digest(found: Sequence[Any]) -> Digest:
    session_id, active, folded, summarized, summary, extract, first, packed = found
    return Digest(
        session_id.decode(),
        active=float(active),
        fold=Fold(int(folded), int(summarized), summary.decode(), extract.decode()),
        tail=entries(session_id.decode(), first, packed),
    )
