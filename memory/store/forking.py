"""Forking: a new session that begins as a copy of another, which stays as it is."""

from memory.errors import UnknownSessionError
from memory.store import decode, keys
from memory.store.copying import copy_sealed, read_original
from memory.store.reading import get_session
from memory.store.redis import RedisStore
from memory.store.scripts import Script
from memory.types import Session, User

_FORK = Script("weigh", "fork", lasts=True)
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
