"""Tries of one request: a client that got no answer asks again, and must find the first try."""

from datetime import timedelta

from memory.store import keys
from memory.store.redis import RedisStore
from memory.types import User


async def begin_attempt(
    store: RedisStore, user: User, request: str, nonce: str, *, hold: timedelta
) -> None:
    """Note that a request is being tried, under a nonce that names its turn."""
    milliseconds = int(hold.total_seconds() * 1000)
    name = keys.once(user, f"try:{request}")
    await store.connection.call(
        store.connection.commands.set(name, nonce, nx=False, px=milliseconds)
    )


async def current_attempt(store: RedisStore, user: User, request: str) -> str | None:
    """The nonce of the try that is under way or was stored; None if there is none."""
    name = keys.once(user, f"try:{request}")
    found = await store.connection.call(store.connection.commands.get(name))
    return found.decode() if found else None


async def end_attempt(store: RedisStore, user: User, request: str) -> None:
    """Note that the try failed: nothing of it was stored."""
    name = keys.once(user, f"try:{request}")
    await store.connection.call(store.connection.commands.delete(name))
