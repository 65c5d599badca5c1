"""What the Lua scripts answer, turned into Onionskin's types.

Values as scripts take them: packed, and sealed for where they will stand.
"""

import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onionskin.memory.store.codec import (
    pack_message,
    pack_vector,
    unpack_message,
    unpack_record,
    unpack_vector,
)
from onionskin.memory.store.encryption.ciphers import Cipher
from onionskin.memory.store.encryption.keyring import Argument
from onionskin.memory.types.change_log import (
    Change,
    Changes,
    Cursor,
    DropSession,
    Put,
    PutRecord,
    Release,
)
from onionskin.memory.types.messages import Entry, Message, Session, SummaryState, Vector
from onionskin.memory.types.records import Record
from onionskin.memory.types.snapshot import SessionDigest, Snapshot

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
ENCRYPTED_FIELDS = ("title", "summary", "extract", "metadata")
"""Those that hold what was said."""


def snapshot(
    reply: Sequence[Any], cipher: Cipher, *, now: float, view: Cursor | None, embedder_tag: str
) -> Snapshot:
    """The answer of `snapshot.lua`; a new session's id is drawn here."""
    _, session_id, fields, first, unfolded, digests, changes_reply, epoch = reply
    earlier = tuple(_digest(found, cipher) for found in digests)
    if fields:
        current = session(session_id.decode(), fields, cipher)
    else:
        follows = tuple(found.session_id for found in earlier)
        current = Session(new_session_id(), created=now, active=now, continued_from=follows)
    return Snapshot(
        session=current,
        is_new=not fields,
        unfolded=entries(current.id, first, unfolded, cipher=cipher),
        digests=earlier,
        epoch=epoch.decode(),
        changes=None
        if view is None
        else changes(changes_reply, cipher, since=view, embedder_tag=embedder_tag),
    )


def new_session_id() -> str:
    """A fresh session id, `s_` and 16 hexadecimal digits."""
    return f"s_{secrets.token_hex(8)}"


def session(session_id: str, fields: Sequence[bytes], cipher: Cipher) -> Session:
    """A session from its fields, in the order of `SESSION_FIELDS`."""
    created, active, length, title, profile, closed, folded, summarized = fields[:8]
    summary, extract, follows, metadata, extracted = fields[8:]

    def text(name: str, value: bytes) -> str:
        return cipher.open(f"session:{session_id}:{name}", value).decode()

    return Session(
        session_id,
        created=float(created),
        active=float(active),
        length=int(length),
        title=text("title", title),
        profile=profile.decode(),
        closed=closed == b"1",
        summary_state=SummaryState(
            int(folded), int(summarized), text("summary", summary), text("extract", extract)
        ),
        continued_from=tuple(follows.decode().split()),
        metadata=text("metadata", metadata) if metadata else "",
        extracted_upto=int(extracted or 0),
    )


def entries(
    session_id: str,
    first: int,
    packed: Sequence[bytes],
    vectors: Sequence[bytes | None] = (),
    *,
    cipher: Cipher,
    embedder_tag: str = "",
) -> tuple[Entry, ...]:
    """Packed messages from position `first` on, with their vectors where there are any."""
    places = range(first, first + len(packed))
    opened = cipher.open_all((f"messages:{session_id}:{place}" for place in places), packed)
    padded = cipher.open_all(
        (f"vectors:{session_id}:{place}" for place in places), vectors or [None] * len(packed)
    )
    return tuple(
        Entry(
            session_id, position, unpack_message(data or b""), unpack_vector(vector, embedder_tag)
        )
        for position, (data, vector) in enumerate(zip(opened, padded, strict=True), first)
    )


def changes(reply: Sequence[Any], cipher: Cipher, *, since: Cursor, embedder_tag: str) -> Changes:
    """The answer of `read_changes` in `changes.lua`."""
    epoch, sequence, status, items = reply
    return Changes(
        since=since,
        cursor=Cursor(epoch.decode(), sequence),
        items=tuple(_change(item, cipher, embedder_tag) for item in items),
        reload=status == b"reload",
        more=status == b"more",
    )


def _change(item: Sequence[Any], cipher: Cipher, embedder_tag: str) -> Change:
    if item[0] == b"drop":
        return DropSession(item[1].decode())
    if item[0] == b"release":
        return Release(item[1].decode())
    if item[0] == b"record":
        _, record_id, data, vector = item
        if not data:
            return PutRecord(record_id.decode(), None, None)
        found = record(record_id.decode(), data, cipher)
        opened = record_vector(found.id, vector, cipher, embedder_tag)
        return PutRecord(found.id, found, found.entry(opened))
    _, session_id, first, packed, vectors = item
    return Put(
        entries(
            session_id.decode(), first, packed, vectors, cipher=cipher, embedder_tag=embedder_tag
        )
    )


def record(record_id: str, data: bytes, cipher: Cipher) -> Record:
    """A record as `record.lua` stores it, behind its revision."""
    return unpack_record(cipher.open(f"records:{record_id}", without_revision(data)))


def without_revision(data: bytes | None) -> bytes:
    """A stored record without its revision, which stands in front of it for `record.lua`."""
    return (data or b"").partition(b" ")[2]


def record_vector(
    record_id: str, data: bytes | None, cipher: Cipher, embedder_tag: str
) -> NDArray[np.float16] | None:
    """The `(dim,)` vector of a record, if the embedder in use made it."""
    return unpack_vector(data and cipher.open(f"vectors:{record_id}", data), embedder_tag)


def _digest(found: Sequence[Any], cipher: Cipher) -> SessionDigest:
    session_id, active, folded, summarized, summary, extract, first, packed = found
    name = session_id.decode()
    return SessionDigest(
        name,
        active=float(active),
        summary_state=SummaryState(
            int(folded),
            int(summarized),
            cipher.open(f"session:{name}:summary", summary).decode(),
            cipher.open(f"session:{name}:extract", extract).decode(),
        ),
        tail=entries(name, first, packed, cipher=cipher),
    )


def encrypted_messages(
    cipher: Cipher,
    session_id: str,
    first: int,
    messages: Sequence[tuple[Message, Vector | None]],
    *,
    embedder_tag: str,
) -> list[bytes]:
    """Message, vector, message, vector ...: a vector that is not there yet is empty.

    Args:
        cipher: seals them.
        session_id: where they go.
        first: the position of the first one.
        messages: each with its `(dim,)` vector if it has one.
        embedder_tag: of what made the vectors.
    """
    values: list[bytes] = []
    for position, (message, vector) in enumerate(messages, first):
        place = f"{session_id}:{position}"
        values.append(cipher.seal(f"messages:{place}", pack_message(message)))
        values.append(encrypted_vector(cipher, place, vector, embedder_tag))
    return values


def encrypted_vector(cipher: Cipher, owner: str, vector: Vector | None, embedder_tag: str) -> bytes:
    """The `(dim,)` vector of a message or a record, by its id; empty for none."""
    if vector is None:
        return b""
    return cipher.seal(f"vectors:{owner}", pack_vector(embedder_tag, vector))


def encrypted_field(cipher: Cipher, session_id: str, name: str, value: Argument) -> Argument:
    """A field of a session's hash; only those are sealed that hold what was said."""
    if name not in ENCRYPTED_FIELDS or isinstance(value, int | float):
        return value
    return cipher.seal(f"session:{session_id}:{name}", value)
