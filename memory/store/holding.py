"""A turn's hold on its session, while the model thinks."""

import asyncio
import contextlib

from memory.errors import StrataError
from memory.store import keys
from memory.store.redis import RedisStore
from memory.store.scripts import Script
from memory.turns import HOLD_MILLISECONDS
from memory.types import User

_HOLD = Script("hold")
_GIVE_BACK_SECONDS = 0.2  # nobody who is told that Redis is away should wait for this, too


async def renew_hold(store: RedisStore, user: User, session_id: str, token: str) -> bool:
    """Hold the session for longer; whether a newer turn wants this one to stop."""
    return await _hold(store, user, session_id, token, HOLD_MILLISECONDS)


async def give_back(store: RedisStore, user: User, session_id: str, token: str) -> None:
    """Let the next turn have the session; while Redis is away, the hold ends by itself."""
    with contextlib.suppress(StrataError, TimeoutError):
        async with asyncio.timeout(_GIVE_BACK_SECONDS):
            await _hold(store, user, session_id, token, 0)


async def _hold(
    store: RedisStore, user: User, session_id: str, token: str, milliseconds: int
) -> bool:
    key = keys.prefix(user)
    return bool(await store.connection.run(_HOLD, key, session_id, token, milliseconds))
