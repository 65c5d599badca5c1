"""The task queue of all users and workers: delayed, retried and dead tasks.

A task follows from stored data, so the queue holds no work, only where to find it. Its keys share a
hash slot of their own, so the same scripts run on one server, under Sentinel and in a cluster.
Times are those of Redis, so workers need no synchronized clocks.

| key                    | type | holds                                                    |
|------------------------|------|----------------------------------------------------------|
| `onionskin:{due}:waiting` | zset | tasks, by the time from which they may be fetched        |
| `onionskin:{due}:workers` | hash | the worker that holds a task                             |
| `onionskin:{due}:failures`, `:errors` | hash | failures in a row, and the last error code   |
| `onionskin:{due}:dead`    | zset | tasks that failed too often, by when                     |

A task is packed as JSON that names users and sessions, and contains no message text.
"""

import hashlib
import random
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import msgspec

from onionskin.memory.errors import CorruptValueError
from onionskin.memory.store import keys
from onionskin.memory.store.redis.connection import Connection
from onionskin.memory.store.redis.scripts import Script
from onionskin.memory.types.messages import User
from onionskin.memory.types.tasks import (
    AfterTurnTask,
    EmbedTask,
    ExtractTask,
    RecordAccessTask,
    RecordUsageTask,
    SummarizeTask,
    SummarizeUserTask,
    Task,
)

_SCHEDULE_TASK, _FINISH_TASK = Script("schedule_task"), Script("finish_task")
_FETCH_TASKS = Script.inline("""
-- Fetch tasks that are due, and hold them for a while.
-- KEYS[1] the queue's prefix   ARGV 1 seconds to hold them   2 worker's token   3 maximum number
-- Returns the number of waiting tasks, the number of dead tasks, and the fetched tasks.
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local waiting = KEYS[1] .. 'waiting'
local tasks = {}
if ARGV[3] ~= '0' then
  local due = string.format('%.6f', now)
  tasks = redis.call('ZRANGEBYSCORE', waiting, '-inf', due, 'LIMIT', 0, ARGV[3])
end
for _, task in ipairs(tasks) do
  redis.call('ZADD', waiting, string.format('%.6f', now + ARGV[1]), task)
  redis.call('HSET', KEYS[1] .. 'workers', task, ARGV[2])
end
return {redis.call('ZCARD', waiting), redis.call('ZCARD', KEYS[1] .. 'dead'), tasks}
""")
_RETRY_TASKS = Script.inline("""
-- Schedule dead tasks again, or discard them; returns how many there were.
-- KEYS[1] the queue's prefix   ARGV 1 '1' to schedule, '0' to discard   2.. tasks
local count = 0
for at = 2, #ARGV do
  local task = ARGV[at]
  if redis.call('ZREM', KEYS[1] .. 'dead', task) == 1 then
    redis.call('HDEL', KEYS[1] .. 'failures', task)
    redis.call('HDEL', KEYS[1] .. 'errors', task)
    if ARGV[1] == '1' then
      redis.call('ZADD', KEYS[1] .. 'waiting', 0, task)
    end
    count = count + 1
  end
end
return count
""")
_FORGET_USER = Script.inline("""
-- Remove all tasks that contain a text. KEYS[1] the queue's prefix   ARGV 1 the text
for _, set in ipairs({'waiting', 'dead'}) do
  for _, task in ipairs(redis.call('ZRANGE', KEYS[1] .. set, 0, -1)) do
    if string.find(task, ARGV[1], 1, true) then
      redis.call('ZREM', KEYS[1] .. set, task)
      for _, hash in ipairs({'workers', 'failures', 'errors'}) do
        redis.call('HDEL', KEYS[1] .. hash, task)
      end
    end
  end
end
""")
LOCK_TIMEOUT = timedelta(seconds=30)
_KINDS: dict[str, type[Task]] = {
    "fold": SummarizeTask,
    "embed": EmbedTask,
    "use": RecordAccessTask,
    "spend": RecordUsageTask,
    "extract": ExtractTask,
    "hook": AfterTurnTask,
    "user": SummarizeUserTask,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a failed task waits: doubled each time, jittered, bounded.

    Attributes:
        first, longest: Seconds.
        attempts: Number of failures in a row after which a task is dead.
    """

    first: float = 1.0
    longest: float = 300.0
    attempts: int = 10


@dataclass(frozen=True, slots=True)
class Batch:
    """The tasks that a worker fetched.

    Attributes:
        waiting, dead: Number of tasks in the whole queue.
    """

    tasks: tuple[Task, ...]
    waiting: int
    dead: int


@dataclass(frozen=True, slots=True)
class DeadTask:
    """A task that failed too often.

    Attributes:
        failures: Number of failures in a row; `error` is the code of the last one.
        at: Time of the last failure; Unix seconds.
    """

    task: Task
    failures: int
    error: str
    at: float


class TaskQueue:
    """One worker's access to the queue.

    Args:
        connection: The connection to Redis.
        lock_timeout: How long a worker holds a task after its last heartbeat.
        backoff: The pauses between attempts of one task.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        lock_timeout: timedelta = LOCK_TIMEOUT,
        backoff: Backoff | None = None,
    ) -> None:
        self.lock_timeout = lock_timeout
        self._connection, self._backoff = connection, backoff or Backoff()
        self._token, self._lock_seconds = secrets.token_hex(8), lock_timeout.total_seconds()

    async def schedule(self, *tasks: Task, after: float = 0.0, reschedule: bool = True) -> None:
        """Queue tasks that any worker may fetch after `after` seconds.

        A task waiting for a retry keeps its schedule. A task that is already queued is postponed;
        with `reschedule=False` it may only move earlier, and a worker that holds it keeps it.
        """
        if tasks:
            packed = map(pack_task, tasks)
            await self._connection.run(
                _SCHEDULE_TASK, keys.TASK_QUEUE, after, "", int(not reschedule), *packed
            )

    async def claim(self, task: Task) -> bool:
        """Queue a task that this worker runs at once; False if it waits for a retry."""
        claimed = await self._connection.run(
            *(_SCHEDULE_TASK, keys.TASK_QUEUE, self._lock_seconds, self._token, 0),
            pack_task(task),
        )
        return bool(claimed[0])

    async def fetch(self, limit: int) -> Batch:
        """Fetch at most `limit` tasks that are due, and hold them."""
        waiting, dead, fetched = await self._connection.run(
            _FETCH_TASKS, keys.TASK_QUEUE, self._lock_seconds, self._token, limit
        )
        tasks: list[Task] = []
        for packed in fetched:
            try:
                tasks.append(unpack_task(packed))
            except CorruptValueError:  # of a newer version, whose workers fetch it next
                continue
        return Batch(tuple(tasks), waiting, dead)

    async def heartbeat(self, task: Task) -> None:
        """Extend the lock on a running task."""
        await self._finish(task, "hold", self._lock_seconds)

    async def complete(self, task: Task) -> None:
        """Remove a finished task, unless it was scheduled again in between."""
        await self._finish(task, "done")

    async def defer(self, task: Task, after: timedelta) -> None:
        """Postpone a task that could not run yet; this does not count as a failure."""
        await self._finish(task, "later", after.total_seconds() * _jitter())

    async def fail(self, task: Task, code: str) -> bool:
        """Schedule a failed task for a retry; True if it failed too often and is dead now."""
        return await self._finish(task, "failed", self._backoff.first, code) == b"dead"

    async def dead(self) -> list[DeadTask]:
        """All dead tasks, the oldest first."""
        commands, call, tasks = self._connection.commands, self._connection.call, list[DeadTask]()
        for packed in await call(commands.zrange(f"{keys.TASK_QUEUE}dead", 0, -1)):
            name = packed.decode()
            at = await call(commands.zscore(f"{keys.TASK_QUEUE}dead", name))
            times = await call(commands.hget(f"{keys.TASK_QUEUE}failures", name))
            error = await call(commands.hget(f"{keys.TASK_QUEUE}errors", name))
            if at is not None:
                code = (error or b"").decode()
                tasks.append(DeadTask(unpack_task(packed), int(times or 0), code, at))
        return tasks

    async def retry(self, tasks: Sequence[Task]) -> int:
        """Schedule dead tasks again; how many there were."""
        return await self._connection.run(_RETRY_TASKS, keys.TASK_QUEUE, 1, *map(pack_task, tasks))

    async def discard(self, tasks: Sequence[Task]) -> int:
        """Discard dead tasks; how many there were."""
        return await self._connection.run(_RETRY_TASKS, keys.TASK_QUEUE, 0, *map(pack_task, tasks))

    async def forget_user(self, user: User) -> None:
        """Remove all tasks of a user."""
        await self._connection.run(_FORGET_USER, keys.TASK_QUEUE, _user_marker(user))

    async def _finish(self, task: Task, how: str, seconds: float = 0.0, code: str = "") -> bytes:
        longest, attempts = self._backoff.longest, self._backoff.attempts
        return await self._connection.run(
            *(_FINISH_TASK, keys.TASK_QUEUE, pack_task(task), self._token, how),
            *(seconds, longest, _jitter(), attempts, code),
        )


def kind_of(task: Task) -> str:
    """The kind of a task: `fold`, `embed`, ..."""
    return _NAMES[type(task)]


def pack_task(task: Task) -> bytes:
    """A task as JSON: equal tasks yield equal bytes. The delay `quiet` is left out."""
    fields = cast("dict[str, Any]", msgspec.to_builtins(task))
    fields.pop("quiet", None)
    return _encode({"kind": kind_of(task), **fields})


def unpack_task(data: bytes) -> Task:
    """The task of `pack_task`.

    Raises:
        CorruptValueError: This version does not know the kind.
    """
    try:
        fields = _decode(data)
        return msgspec.convert(fields, _KINDS[fields.pop("kind")])
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError) as error:
        raise CorruptValueError(
            f"A queued task does not decode: {error}. Upgrade Onionskin."
        ) from error


def task_digest(task: Task) -> str:
    """A short id of a task for people; equal tasks have equal ids."""
    return hashlib.blake2b(pack_task(task), digest_size=6).hexdigest()


def _user_marker(user: User) -> bytes:
    """A text that every packed task of the user contains, and no task of another user."""
    return b'"user":' + _encode(msgspec.to_builtins(user))


def _jitter() -> float:
    return random.uniform(0.5, 1.0)  # noqa: S311
