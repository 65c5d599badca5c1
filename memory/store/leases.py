"""Leases: one worker at a job of a user's at a time."""

from datetime import timedelta

from memory.store import keys
from memory.store.redis import RedisStore
from memory.types import User


async def take_lease(store: RedisStore, user: User, purpose: str, *, hold: timedelta) -> bool:
    """Take a job for this user; False while another worker is at it."""
    name, px = keys.lease(user, purpose), int(hold.total_seconds() * 1000)
    taken = store.connection.commands.set(name, "1", nx=True, px=px)
    return bool(await store.connection.call(taken))


async def end_lease(store: RedisStore, user: User, purpose: str) -> None:
    """Give a job back."""
    await store.connection.call(store.connection.commands.delete(keys.lease(user, purpose)))
