"""Deletion: erases a user completely, and deletes expired sessions and records.

One script deletes at one instant all keys that follow from stored data, and the data key too, so
that encrypted values become unreadable in every copy. A scan passes the other keys to it (commit
nonces, import progress, leases, histories of deleted records); later scans find keys that were
written in between. A key without a time-to-live in such a later scan belongs to a user who has
started again, and stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from onionskin.memory.errors import RecordConflictError, UnknownRecordError, UnknownSessionError
from onionskin.memory.store import keys
from onionskin.memory.store.aof_rewrite import AofRewrite
from onionskin.memory.store.encryption.ciphers import Cipher
from onionskin.memory.store.encryption.keyring import Argument
from onionskin.memory.store.records import Records, RecordWrite, write_arguments
from onionskin.memory.store.redis.scripts import Script
from onionskin.memory.store.repository import Repository, StoreContext
from onionskin.memory.store.sessions import DELETE_SESSION, Sessions
from onionskin.memory.store.task_queue import TaskQueue
from onionskin.memory.types.change_log import Cursor
from onionskin.memory.types.messages import User
from onionskin.memory.types.records import HISTORY_SECONDS, Record

_DELETE_USER = Script("delete_user", durable=True)
_UNLINK_KEYS = Script.inline("""
-- Unlink keys of a user; returns how many existed. KEYS[1] the user's prefix   ARGV their names
local count = 0
for _, name in ipairs(ARGV) do
  count = count + redis.call('UNLINK', name)
end
return count
""")
_REPAIR = Script.inline("""
-- Add a session that exists to the set of sessions. KEYS[1] the user's prefix   ARGV 1 session id
-- Returns 1 if it was missing.
local session, sessions = KEYS[1] .. 'session:' .. ARGV[1], KEYS[1] .. 'sessions'
local created, active = unpack(redis.call('HMGET', session, 'created', 'active'))
if redis.call('EXISTS', session) == 0 or (active and redis.call('ZSCORE', sessions, ARGV[1])) then
  return 0
end
active = active or created or '0'
redis.call('HSET', session, 'active', active)
redis.call('ZADD', sessions, active, ARGV[1])
return 1
""")
_KNOWN_KEYS = (
    *("user", "sessions", "vectors", "log", "records", "topics", "key"),
    *("items", "threads", "outside"),
)
"""Kinds of keys that the script finds without a scan."""
_RECORDS_CHANGED = -2
_MAX_SCANS = 5
"""Bound on the scans: a user who has started again may write new nonces all the time."""


@dataclass(frozen=True, slots=True)
class ErasureResult:
    """How much was deleted; `keys` counts the keys of Redis."""

    sessions: int
    messages: int
    memories: int
    vectors: int
    keys: int


class Deletion(Repository):
    """Erases users, and deletes expired data.

    Args:
        context: The connection, keyring and options of the store.
        sessions: The sessions that expire.
        records: The records that expire.
        aof_rewrite: Notes deletions for the append-only file.
    """

    def __init__(
        self,
        context: StoreContext,
        *,
        sessions: Sessions,
        records: Records,
        aof_rewrite: AofRewrite,
    ) -> None:
        super().__init__(context)
        self._sessions, self._records, self._aof_rewrite = sessions, records, aof_rewrite

    async def erase_user(self, user: User) -> ErasureResult:
        """Erase all data of a user; zeros where there is nothing.

        The commit of a turn that read data before the erasure is refused.
        """
        run, prefix, now = self._connection.run, keys.prefix(user), self._retention.clock()
        epoch = await self._call(self._commands.hget(f"{prefix}user", "epoch")) or b""
        names = await self._scan(user, without=_KNOWN_KEYS)
        if epoch or names:  # noted first, so that the file is rewritten even if this worker dies
            await self._aof_rewrite.mark_erasure(now=now)
        sessions, messages, memories, vectors, count = await run(_DELETE_USER, prefix, *names)
        self._keyring.forget(user)
        for _ in range(_MAX_SCANS):
            names = await self._scan(user, without=keys.PERMANENT)
            if not names:
                break
            count += await run(_UNLINK_KEYS, prefix, *names)
        await TaskQueue(self._connection).forget_user(user)
        if count:
            await self._aof_rewrite.mark_erasure(now=now, epoch=epoch.decode())
        return ErasureResult(sessions, messages, memories, vectors, count)

    async def delete_session(
        self, user: User, session_id: str, records: Sequence[RecordWrite], *, read_at: Cursor
    ) -> int:
        """Delete a session, and write records in the same step; how many messages it had.

        Args:
            user: The owner of the session.
            session_id: The session.
            records: What becomes of the records that were drawn from it.
            read_at: The change log's position at which the user's records were read.

        Raises:
            UnknownSessionError: The user has no such session.
            RecordConflictError: Records have changed since they were read.
        """

        def arguments(cipher: Cipher) -> Sequence[Argument]:
            values: list[Argument] = [session_id, self._log_length, ""]
            values += (read_at.epoch, read_at.sequence, self._retention.history_seconds(user))
            for write in records:
                values += write_arguments(write, cipher, self._embedder_tag)
            return values

        count = await self._keyring.run_write(user, DELETE_SESSION, arguments)
        if count == _RECORDS_CHANGED:
            raise RecordConflictError(session_id)
        if count < 0:
            raise UnknownSessionError(session_id)
        await self._aof_rewrite.mark_erasure(now=self._retention.clock())
        return count

    @property
    def shortest_retention(self) -> timedelta | None:
        """The shortest time after which any data expires; None if nothing does."""
        return self._retention.shortest

    async def repair_session(self, user: User, session_id: str) -> bool:
        """List a session that exists but is in no list of sessions; whether it was repaired.

        Without it, the session would neither expire nor be listed.
        """
        return bool(await self._connection.run(_REPAIR, keys.prefix(user), session_id))

    async def expire_session(self, user: User, session_id: str) -> bool:
        """Delete a session if it has expired; whether it had."""
        active = await self._call(self._commands.hget(keys.session(user, session_id), "active"))
        horizon = self._retention.horizon(user)
        if active is None or float(active) > horizon:
            return False
        try:
            return await self._sessions.delete(user, session_id, horizon=horizon) >= 0
        except UnknownSessionError:
            return False  # deleted in between, or active again

    async def expire_records(self, user: User) -> int:
        """Delete expired records with their histories; how many."""
        now, count = self._retention.clock(), 0
        async for _, record in self._records.read_all(user):
            if not (self._retention.is_expired(user, record) or _is_beyond_restore(record, now)):
                continue
            try:
                await self._records.write(user, [RecordWrite(None, record)])
            except (RecordConflictError, UnknownRecordError):
                continue  # changed in between
            count += 1
        if count:
            await self._aof_rewrite.mark_erasure(now=now)
        return count

    async def _scan(self, user: User, *, without: tuple[str, ...]) -> list[str]:
        """The user's keys except some kinds, each once; a kind ending in `:` is a prefix."""
        families = tuple(kind for kind in without if kind.endswith(":"))
        prefix, names = keys.prefix(user), set[str]()
        async for name in self._connection.scan_keys(f"{prefix}*"):
            rest = name.removeprefix(prefix)
            if rest not in without and not rest.startswith(families):
                names.add(name)
        return sorted(names)


def _is_beyond_restore(record: Record, now: float) -> bool:
    """Whether a record expired so long ago that it cannot be restored any more."""
    return not (record.pinned or record.is_alive(now - HISTORY_SECONDS))
