"""Erasing a user: every key, so that no copy and no trace of them is left in Redis.

All that can be named from what is stored goes in one script, at one instant; the data key too, so
that sealed values open no more, wherever there are copies of them. The other keys (commit nonces,
import progress, leases, histories of deleted records) are handed to it by a scan, and scans after
it find what was written in between. A key without a time-to-live that such a later scan sees
belongs to a user who has begun anew, and stays.
"""

from dataclasses import dataclass
from functools import partial

from memory.store import keys
from memory.store.agenda import forget_user
from memory.store.erasures import note_erasure
from memory.store.redis import RedisStore
from memory.store.scripts import Script
from memory.store.users import scan_keys
from memory.types import User

_ERASE, _UNLINK = Script("erase", lasts=True), Script("unlink")
_NAMED = (
    *("user", "sessions", "session:", "messages:", "vectors", "log", "records", "topics", "key"),
    *("items", "threads", "outside"),
)
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Erased:
    """What went, by sort; `keys` counts the keys of Redis."""

    sessions: int
    messages: int
    memories: int
    vectors: int
    keys: int


async def erase_user(store: RedisStore, user: User) -> Erased:
    """Erase all that is stored of a user; zeros where there is nothing.

    A turn under way that has read what is erased here is refused when it is to be stored.
    """
    run, prefix = store.connection.run, keys.prefix(user)
    call, commands = store.connection.call, store.connection.commands
    epoch = (await call(commands.hget(f"{prefix}user", "epoch")) or b"").decode()
    note = partial(note_erasure, store.connection, now=store.retention.clock())
    found = await _found(store, user, besides=_NAMED)
    if epoch or found:
        await note()  # should this worker die before it is done, the file is rewritten all the same
    sessions, messages, memories, vectors, gone = await run(_ERASE, prefix, *found)
    store.keyring.forget(user)
    for _ in range(_ROUNDS):  # bounded: a user who begins anew and talks on leaves ever new nonces
        left = await _found(store, user, besides=keys.PERMANENT)
        if not left:
            break
        gone += await run(_UNLINK, prefix, *left)
    await forget_user(store.connection, user)
    if gone:
        await note(epoch=epoch)
    return Erased(sessions, messages, memories, vectors, gone)


async def _found(store: RedisStore, user: User, *, besides: tuple[str, ...]) -> list[str]:
    """The user's keys but for some sorts, each once."""
    names: set[str] = set()
    async for name in scan_keys(store, f"{keys.prefix(user)}*"):
        sort = name.removeprefix(keys.prefix(user))
        if sort not in besides and not sort.startswith(_families(besides)):
            names.add(name)
    return sorted(names)


def _families(sorts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sort for sort in sorts if sort.endswith(":"))
