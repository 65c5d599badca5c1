"""Keeping sessions of a user apart: what was said in one is not recalled in another."""

from collections.abc import Sequence

from memory.store import RedisStore
from memory.store.reading import get_session
from memory.types import User


async def ids_apart(store: RedisStore, user: User, sessions: Sequence[str]) -> frozenset[str]:
    """The ids of some sessions, and of every message in them.

    Raises:
        UnknownSessionError: the user has no such session.
        StoreUnavailableError: Redis is away.
    """
    ids = set(sessions)
    for session_id in sessions:
        session = await get_session(store, user, session_id)
        ids.update(f"{session_id}:{position}" for position in range(session.length))
    return frozenset(ids)
