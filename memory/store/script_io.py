"""Arguments and replies of the Lua scripts: encrypted values in, Onionskin's types out."""

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
from onionskin.memory.types.branches import NONE_ABANDONED, Abandoned
from onionskin.memory.types.change_log import (
    Abandon,
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
    "abandoned",
)
"""The fields of a session's hash, in the order in which `load_turn.lua` reads them."""
ENCRYPTED_FIELDS = ("title", "summary", "extract", "metadata")
"""The fields of a session's hash that contain text of the user."""


def new_session_id() -> str:
    """A new session id: `s_` and 16 hexadecimal digits."""
    return f"s_{secrets.token_hex(8)}"


def parse_snapshot(
    reply: Sequence[Any], cipher: Cipher, *, now: float, since: Cursor | None, embedder_tag: str
) -> Snapshot:
    """The snapshot in a reply of `load_turn.lua`; a new session gets its id here."""
    _, session_id, fields, unfolded, digests, changes, epoch, time_zone = reply
    earlier = tuple(_parse_digest(digest, cipher) for digest in digests)
    if fields:
        session = parse_session(session_id.decode(), fields, cipher)
    else:
        continued_from = tuple(digest.session_id for digest in earlier)
        session = Session(new_session_id(), created=now, active=now, continued_from=continued_from)
    return Snapshot(
        session=session,
        is_new=not fields,
        unfolded=_parse_runs(session.id, unfolded, cipher),
        digests=earlier,
        epoch=epoch.decode(),
        time_zone=time_zone.decode(),
        changes=None
        if since is None
        else parse_changes(changes, cipher, since=since, embedder_tag=embedder_tag),
    )


def parse_session(session_id: str, fields: Sequence[bytes], cipher: Cipher) -> Session:
    """A session from its fields, in the order of `SESSION_FIELDS`."""
    created, active, length, title, profile, closed, folded, summarized = fields[:8]
    summary, extract, follows, metadata, extracted, abandoned = fields[8:]

    def text(name: str, value: bytes) -> str:
        return cipher.decrypt(f"session:{session_id}:{name}", value).decode()

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
        abandoned=Abandoned.parse(abandoned.decode()) if abandoned else NONE_ABANDONED,
    )


def parse_entries(
    session_id: str,
    first: int,
    packed: Sequence[bytes],
    vectors: Sequence[bytes | None] = (),
    *,
    cipher: Cipher,
    embedder_tag: str = "",
) -> tuple[Entry, ...]:
    """Packed messages from position `first` on, with their vectors where they exist."""
    positions = range(first, first + len(packed))
    messages = cipher.decrypt_all(
        (f"messages:{session_id}:{position}" for position in positions), packed
    )
    padded_vectors: Sequence[bytes | None] = [None] * len(packed)
    if vectors:
        places = (f"vectors:{session_id}:{position}" for position in positions)
        padded_vectors = cipher.decrypt_all(places, vectors)
    return tuple(
        Entry(
            session_id,
            position,
            unpack_message(message or b""),
            unpack_vector(vector, embedder_tag) if vector else None,
        )
        for position, (message, vector) in enumerate(
            zip(messages, padded_vectors, strict=True), first
        )
    )


def parse_changes(
    reply: Sequence[Any], cipher: Cipher, *, since: Cursor, embedder_tag: str
) -> Changes:
    """The changes in a reply of `read_changes` in `change_log.lua`."""
    epoch, sequence, status, items = reply
    return Changes(
        since=since,
        cursor=Cursor(epoch.decode(), sequence),
        items=tuple(_parse_change(item, cipher, embedder_tag) for item in items),
        reload=status == b"reload",
        more=status == b"more",
    )


def parse_record(record_id: str, data: bytes, cipher: Cipher) -> Record:
    """A record as `write_record.lua` stores it, after its revision."""
    return unpack_record(cipher.decrypt(f"records:{record_id}", without_revision(data)))


def parse_record_vector(
    record_id: str, data: bytes | None, cipher: Cipher, embedder_tag: str
) -> NDArray[np.float16] | None:
    """The `(dim,)` vector of a record, if the embedder in use made it."""
    return unpack_vector(data and cipher.decrypt(f"vectors:{record_id}", data), embedder_tag)


def without_revision(data: bytes | None) -> bytes:
    """A stored record without its revision, which precedes it for `write_record.lua`."""
    return (data or b"").partition(b" ")[2]


def encrypted_messages(
    cipher: Cipher,
    session_id: str,
    first: int,
    messages: Sequence[tuple[Message, Vector | None]],
    *,
    embedder_tag: str,
) -> list[bytes]:
    """Packed and encrypted: message, vector, message, vector ...; a missing vector is empty.

    Args:
        cipher: The user's cipher.
        session_id: The session in which they are stored.
        first: The position of the first message.
        messages: The messages, each with its `(dim,)` vector if it has one.
        embedder_tag: The embedder of the vectors.
    """
    values: list[bytes] = []
    for position, (message, vector) in enumerate(messages, first):
        place = f"{session_id}:{position}"
        values.append(cipher.encrypt(f"messages:{place}", pack_message(message)))
        values.append(encrypted_vector(cipher, place, vector, embedder_tag))
    return values


def encrypted_vector(cipher: Cipher, owner: str, vector: Vector | None, embedder_tag: str) -> bytes:
    """The `(dim,)` vector of the message or record with the id `owner`; empty for None."""
    if vector is None:
        return b""
    return cipher.encrypt(f"vectors:{owner}", pack_vector(embedder_tag, vector))


def encrypted_field(cipher: Cipher, session_id: str, name: str, value: Argument) -> Argument:
    """A field of a session's hash, encrypted if it contains text of the user."""
    if name not in ENCRYPTED_FIELDS or isinstance(value, int | float):
        return value
    return cipher.encrypt(f"session:{session_id}:{name}", value)


def _parse_change(item: Sequence[Any], cipher: Cipher, embedder_tag: str) -> Change:
    if item[0] == b"drop":
        return DropSession(item[1].decode())
    if item[0] == b"abandon":
        return Abandon(item[1].decode(), item[2], item[3])
    if item[0] == b"release":
        return Release(item[1].decode())
    if item[0] == b"record":
        _, record_id, data, encrypted = item
        if not data:
            return PutRecord(record_id.decode(), None, None)
        record = parse_record(record_id.decode(), data, cipher)
        vector = parse_record_vector(record.id, encrypted, cipher, embedder_tag)
        return PutRecord(record.id, record, record.entry(vector))
    _, session_id, first, packed, vectors = item
    return Put(
        parse_entries(
            session_id.decode(), first, packed, vectors, cipher=cipher, embedder_tag=embedder_tag
        )
    )


def _parse_digest(digest: Sequence[Any], cipher: Cipher) -> SessionDigest:
    session_id, active, folded, summarized, summary, extract, tail = digest
    name = session_id.decode()
    return SessionDigest(
        name,
        active=float(active),
        summary_state=SummaryState(
            int(folded),
            int(summarized),
            cipher.decrypt(f"session:{name}:summary", summary).decode(),
            cipher.decrypt(f"session:{name}:extract", extract).decode(),
        ),
        tail=_parse_runs(name, tail, cipher),
    )


def _parse_runs(session_id: str, runs: Sequence[Any], cipher: Cipher) -> tuple[Entry, ...]:
    """Messages of a session from their first positions on: position, messages, ..."""
    if len(runs) <= 2:  # noqa: PLR2004 - one run: nothing was abandoned in between
        return parse_entries(session_id, *runs, cipher=cipher) if runs else ()
    parts = zip(runs[::2], runs[1::2], strict=True)
    return tuple(
        entry
        for first, packed in parts
        for entry in parse_entries(session_id, first, packed, cipher=cipher)
    )
