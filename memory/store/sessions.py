"""Copying a session whose values are bound to where they stand: opened, and sealed anew.

Transcripts only grow, so what was read page by page is what stands there in the end.

What is noted of a session apart from what was said in it: title, profile, metadata.

Forking: a new session that begins as a copy of another, which stays as it is.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onionskin.memory.errors import UnknownSessionError
from onionskin.memory.store import keys
from onionskin.memory.store import script_io as decode
from onionskin.memory.store.encryption.ciphers import Cipher
from onionskin.memory.store.encryption.keyring import Argument
from onionskin.memory.store.redis.scripts import Script
from onionskin.memory.store.script_io import encrypted_field
from onionskin.memory.store.store import RedisStore
from onionskin.memory.store.transcripts import get_session
from onionskin.memory.store.transfer import session_fields
from onionskin.memory.types.messages import Session, User

_COPY = Script("weigh", "copy", durable=True)
_PAGE = 1000
_CARRIED = ("title", "follows", "metadata")
_FOLD = ("folded_upto", "summarized_upto", "summary", "extract")


@dataclass(frozen=True, slots=True)
class Original:
    """The beginning of a session, opened: its fields, and messages with vectors (or None)."""

    session_id: str
    fields: dict[str, bytes]
    said: list[tuple[bytes, bytes | None]]


async def read_original(
    store: RedisStore, user: User, session_id: str, upto: int | None
) -> Original:
    """Read what is to be copied: `messages[:upto]`, all of them for None.

    Raises:
        UnknownSessionError: the user has no such session.
    """
    fields = await session_fields(store, user, session_id)
    if not fields:
        raise UnknownSessionError(session_id)
    length = int(fields["length"])
    count = length if upto is None else min(upto, length)
    commands, call = store.connection.commands, store.connection.call
    said: list[tuple[bytes, bytes | None]] = []
    for start in range(0, count, _PAGE):
        last = min(start + _PAGE, count) - 1
        ids = [f"{session_id}:{position}" for position in range(start, last + 1)]
        packed = await call(commands.lrange(keys.messages(user, session_id), start, last))
        vectors = await call(commands.hmget(keys.vectors(user), ids))
        cipher = await store.keyring.cipher_for(user, [*packed, *vectors])
        if len(packed) < len(ids):
            raise UnknownSessionError(session_id)  # deleted meanwhile
        for one, data, vector in zip(ids, packed, vectors, strict=True):
            opened = vector and cipher.open(f"vectors:{one}", vector)
            said.append((cipher.open(f"messages:{one}", data), opened))
    return Original(session_id, fields, said)


async def copy_sealed(
    store: RedisStore, user: User, original: Original, copy: str, *, now: float, profile: str
) -> None:
    """Store a copy; the fold goes with it unless it reaches beyond what is copied.

    Raises:
        UnknownSessionError: the original was deleted meanwhile.
    """
    fields = _copied_fields(original, now=now, profile=profile)

    def arguments(cipher: Cipher) -> Sequence[Argument]:
        values: list[Argument] = [original.session_id, copy, now, store.log_length, len(fields)]
        for name, value in fields.items():
            values += (name, encrypted_field(cipher, copy, name, value))
        for position, (data, vector) in enumerate(original.said):
            place = f"{copy}:{position}"
            values.append(cipher.seal(f"messages:{place}", data))
            values.append(cipher.seal(f"vectors:{place}", vector or b""))
        return values

    if await store.keyring.run_write(user, _COPY, arguments) < 0:
        raise UnknownSessionError(original.session_id)


def _copied_fields(original: Original, *, now: float, profile: str) -> dict[str, Argument]:
    found, count = original.fields, len(original.said)
    folded = int(found["folded_upto"]) <= count
    return {
        "created": now,
        "active": now,
        "closed": "0",
        "profile": profile or found["profile"],
        "extracted_upto": count,
        **{name: found.get(name, b"") for name in _CARRIED},
        **{
            name: found[name] if folded else (0 if name.endswith("upto") else b"") for name in _FOLD
        },
    }


_SESSION = Script("session", durable=True)


async def begin_session(
    store: RedisStore,
    user: User,
    *,
    now: float,
    carry: int,
    title: str = "",
    profile: str = "",
    metadata: Mapping[str, Any] | None = None,
) -> Session:
    """An empty session, which takes up the latest `carry` sessions before it."""
    session_id = decode.new_session_id()
    epoch, given = secrets.token_hex(8), _given(title=title, profile=profile, metadata=metadata)
    await store.keyring.run_write(
        user,
        _SESSION,
        lambda cipher: (session_id, 1, now, epoch, carry, *_fields(cipher, session_id, given)),
    )
    return await get_session(store, user, session_id)


async def note_session(
    store: RedisStore,
    user: User,
    session_id: str,
    *,
    title: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Session:
    """Change a session's title or metadata; what is None stays.

    Raises:
        UnknownSessionError: the user has no such session.
    """
    await get_session(store, user, session_id)
    given = _given(title=title, metadata=metadata)
    if not await store.keyring.run_write(
        user,
        _SESSION,
        lambda cipher: (session_id, 0, 0, "", 0, *_fields(cipher, session_id, given)),
    ):
        raise UnknownSessionError(session_id)
    return await get_session(store, user, session_id)


async def reopen_session(store: RedisStore, user: User, session_id: str) -> None:
    """Let a closed session go on: what was said in it stays folded.

    Raises:
        UnknownSessionError: the user has no such session.
    """
    fields = (session_id, 0, 0, "", 0, "closed", "0")
    if not await store.keyring.run_write(user, _SESSION, lambda _: fields):
        raise UnknownSessionError(session_id)


def _given(
    *,
    title: str | None = None,
    profile: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    packed = None if metadata is None else json.dumps(metadata, ensure_ascii=False)
    given = {"title": title, "profile": profile, "metadata": packed}
    return {name: value for name, value in given.items() if value is not None}


def _fields(cipher: Cipher, session_id: str, given: dict[str, str]) -> list[Argument]:
    return [
        part
        for name, value in given.items()
        for part in (name, encrypted_field(cipher, session_id, name, value))
    ]


_FORK = Script("weigh", "fork", durable=True)
_ALL = -1


async def fork_session(
    store: RedisStore,
    user: User,
    session_id: str,
    *,
    now: float,
    upto: int | None = None,
    profile: str = "",
) -> Session:
    """Copy `messages[:upto]` of a session, with their vectors, into a new one.

    The fold is copied too unless it reaches beyond `upto`. The copy goes on by itself.

    Args:
        store: where both live.
        user: whose sessions they are.
        session_id: the session to copy; it may be closed.
        now: when the copy begins, Unix seconds.
        upto: how many messages; None, or more than there are, for all.
        profile: the memory profile of the copy; that of the original if empty.

    Raises:
        UnknownSessionError: the user has no such session.
    """
    await get_session(store, user, session_id)
    copy = decode.new_session_id()
    if store.keyring.masters:
        original = await read_original(store, user, session_id, upto)
        await copy_sealed(store, user, original, copy, now=now, profile=profile)
        return await get_session(store, user, copy)
    count = _ALL if upto is None else upto
    copied = await store.connection.run(
        _FORK, keys.prefix(user), session_id, copy, count, now, profile, store.log_length
    )
    if copied < 0:
        raise UnknownSessionError(session_id)
    return await get_session(store, user, copy)
