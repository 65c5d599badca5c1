"""What is noted of a session apart from what was said in it: title, profile, metadata."""

import json
import secrets
from collections.abc import Mapping
from typing import Any

from memory.errors import UnknownSessionError
from memory.store import decode
from memory.store.keyring import Argument
from memory.store.packing import sealed_field
from memory.store.reading import get_session
from memory.store.redis import RedisStore
from memory.store.scripts import Script
from memory.store.sealing import Cipher
from memory.types import Session, User

_SESSION = Script("session", lasts=True)


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
    await store.keyring.write(
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
    if not await store.keyring.write(
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
    if not await store.keyring.write(user, _SESSION, lambda _: fields):
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
        for part in (name, sealed_field(cipher, session_id, name, value))
    ]
