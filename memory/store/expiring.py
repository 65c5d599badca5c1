"""Deleting what is past its time; reading it was over before, to the very moment."""

from memory.errors import RecordConflictError, UnknownRecordError, UnknownSessionError
from memory.records import HISTORY_SECONDS, Record
from memory.store import keys
from memory.store.erasures import note_erasure
from memory.store.recording import Write, read_records, write_records
from memory.store.redis import RedisStore
from memory.types import User


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
        if not (store.retention.is_over(user, record) or _is_forgotten(record, now)):
            continue
        try:
            await write_records(store, user, [Write(None, record)])
        except (RecordConflictError, UnknownRecordError):
            continue  # it was changed meanwhile
        history = keys.history(user, record.id)
        await store.connection.call(store.connection.commands.delete(history))
        gone += 1
    if gone:
        await note_erasure(store.connection, now=now)
    return gone


def _is_forgotten(record: Record, now: float) -> bool:
    """Whether it expired by itself so long ago that it cannot be restored any more."""
    return not (record.pinned or record.is_alive(now - HISTORY_SECONDS))
