"""Erasing a user: every key, so that no copy and no trace of them is left in Redis.

All that can be named from what is stored goes in one script, at one instant; the data key too, so
that sealed values open no more, wherever there are copies of them. The other keys (commit nonces,
import progress, leases, histories of deleted records) are handed to it by a scan, and scans after
it find what was written in between. A key without a time-to-live that such a later scan sees
belongs to a user who has begun anew, and stays.

Deleting what is past its time; reading it was over before, to the very moment.
"""

from dataclasses import dataclass
from functools import partial

from onionskin.memory.errors import RecordConflictError, UnknownRecordError, UnknownSessionError
from onionskin.memory.store import keys
from onionskin.memory.store.aof_rewrite import mark_erasure
from onionskin.memory.store.records import RecordWrite, read_records, write_records
from onionskin.memory.store.redis.scripts import Script
from onionskin.memory.store.store import RedisStore
from onionskin.memory.store.task_queue import forget_user
from onionskin.memory.store.users import scan_keys
from onionskin.memory.types.messages import User
from onionskin.memory.types.records import HISTORY_SECONDS, Record

_ERASE, _UNLINK = Script("erase", durable=True), Script("unlink")
_NAMED = (
    *("user", "sessions", "session:", "messages:", "vectors", "log", "records", "topics", "key"),
    *("items", "threads", "outside"),
)
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class ErasureResult:
    """What went, by sort; `keys` counts the keys of Redis."""

    sessions: int
    messages: int
    memories: int
    vectors: int
    keys: int


async def erase_user(store: RedisStore, user: User) -> ErasureResult:
    """Erase all that is stored of a user; zeros where there is nothing.

    A turn under way that has read what is erased here is refused when it is to be stored.
    """
    run, prefix = store.connection.run, keys.prefix(user)
    call, commands = store.connection.call, store.connection.commands
    epoch = (await call(commands.hget(f"{prefix}user", "epoch")) or b"").decode()
    note = partial(mark_erasure, store.connection, now=store.retention.clock())
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
    return ErasureResult(sessions, messages, memories, vectors, gone)


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


async def expire_session(store: RedisStore, user: User, session_id: str) -> bool:
    """Delete a session if it is past its time; whether it was."""
    call, commands = store.connection.call, store.connection.commands
    active = await call(commands.hget(keys.session(user, session_id), "active"))
    horizon = store.retention.horizon(user)
    if active is None or float(active) > horizon:
        return False
    try:
        return await store.drop(user, session_id, horizon=horizon) >= 0
    except UnknownSessionError:
        return False  # deleted meanwhile, or somebody talks in it again


async def expire_records(store: RedisStore, user: User) -> int:
    """Delete the records that are past their time, with their histories; how many."""
    now, gone = store.retention.clock(), 0
    async for _, record in read_records(store, user):
        if not (store.retention.is_expired(user, record) or _is_forgotten(record, now)):
            continue
        try:
            await write_records(store, user, [RecordWrite(None, record)])
        except (RecordConflictError, UnknownRecordError):
            continue  # it was changed meanwhile
        history = keys.history(user, record.id)
        await store.connection.call(store.connection.commands.delete(history))
        gone += 1
    if gone:
        await mark_erasure(store.connection, now=now)
    return gone


def _is_forgotten(record: Record, now: float) -> bool:
    """Whether it expired by itself so long ago that it cannot be restored any more."""
    return not (record.pinned or record.is_alive(now - HISTORY_SECONDS))
