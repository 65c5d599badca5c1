"""The agenda: what is due, over all users and workers, and what was given up.

What is due follows from what is stored, so the agenda holds no work, only where to look. Its keys
share a hash slot of their own, so the same scripts run on one server, under Sentinel and in a
cluster; and the time is Redis's, so that workers need not agree on it.

| key                    | type | holds                                                    |
|------------------------|------|----------------------------------------------------------|
| `onionskin:{due}:waiting` | zset | what is due, by when it may be taken                     |
| `onionskin:{due}:workers` | hash | whose it is meanwhile                                    |
| `onionskin:{due}:failures`, `:errors` | hash | how often it failed in a row, and how last   |
| `onionskin:{due}:dead`    | zset | what was given up, by when                               |

How what is due is packed: JSON that names users and sessions, and nothing that was said.
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
    EmbedTask,
    ExtractTask,
    RecordAccessTask,
    RecordUsageTask,
    SummarizeTask,
    Task,
)

_KINDS: dict[str, type[Task]] = {
    "fold": SummarizeTask,
    "embed": EmbedTask,
    "use": RecordAccessTask,
    "spend": RecordUsageTask,
    "extract": ExtractTask,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def kind_of(due: Task) -> str:
    """What sort of job it is: `fold`, `embed`, ..."""
    return _NAMES[type(due)]


def pack_task(due: Task) -> bytes:
    """The same bytes for what is the same; how long it is to wait is not among them."""
    fields = cast("dict[str, Any]", msgspec.to_builtins(due))
    fields.pop("quiet", None)
    return _encode({"kind": kind_of(due), **fields})


def unpack_task(data: bytes) -> Task:
    """What `pack_due` packed.

    Raises:
        CorruptValueError: it is of no kind that this version knows.
    """
    try:
        fields = _decode(data)
        return msgspec.convert(fields, _KINDS[fields.pop("kind")])
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError) as error:
        raise CorruptValueError(
            f"Something due does not decode: {error}. Upgrade Onionskin."
        ) from error


def mark_of(user: User) -> bytes:
    """What stands in all that is due for a user, and in nothing that is due for another."""
    return b'"user":' + _encode(msgspec.to_builtins(user))


def task_digest(due: Task) -> str:
    """A short id of what is due, for people: the same for what is the same."""
    return hashlib.blake2b(pack_task(due), digest_size=6).hexdigest()


_NOTE, _TAKE, _SETTLE = Script("note"), Script("take"), Script("settle")
_REVIVE, _FORGET = Script("revive"), Script("forget")


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a failed job waits: doubled each time, jittered, bounded.

    Attributes:
        first, longest: seconds.
        attempts: after so many failures in a row the job is given up.
    """

    first: float = 1.0
    longest: float = 300.0
    attempts: int = 10


@dataclass(frozen=True, slots=True)
class Batch:
    """What a worker took, and how much there was.

    Attributes:
        waiting, dead: entries of the agenda in all.
    """

    tasks: tuple[Task, ...]
    waiting: int
    dead: int


@dataclass(frozen=True, slots=True)
class DeadTask:
    """A job that failed too often.

    Attributes:
        failures: in a row; `error` is the code of the last.
        at: when it was given up; Unix seconds.
    """

    task: Task
    failures: int
    error: str
    at: float


class TaskQueue:
    """One worker's side of it.

    Args:
        connection: how Redis is reached.
        hold: how long what a worker took stays its own after its last sign of life.
        backoff: between the tries of one job.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        hold: timedelta = timedelta(seconds=30),
        backoff: Backoff | None = None,
    ) -> None:
        self.hold, self._connection, self._backoff = hold, connection, backoff or Backoff()
        self._token, self._hold = secrets.token_hex(8), hold.total_seconds()

    async def schedule(self, *dues: Task, after: float = 0.0, reschedule: bool = True) -> None:
        """Note what is due in `after` seconds, for whichever worker comes first.

        What waits to be tried again goes on waiting; what is noted already is put off to then,
        unless `anew` is False: then it is at most brought forward, and left to whoever is at it.
        """
        if dues:
            packed = map(pack_task, dues)
            await self._connection.run(
                _NOTE, keys.TASK_QUEUE, after, "", int(not reschedule), *packed
            )

    async def claim(self, due: Task) -> bool:
        """Note what this worker does at once; False if it waits to be tried again."""
        packed = pack_task(due)
        noted = await self._connection.run(
            _NOTE, keys.TASK_QUEUE, self._hold, self._token, 0, packed
        )
        return bool(noted[0])

    async def fetch(self, most: int) -> Batch:
        """Take at most so many that are due by now."""
        waiting, dead, found = await self._connection.run(
            _TAKE, keys.TASK_QUEUE, self._hold, self._token, most
        )
        dues: list[Task] = []
        for packed in found:
            try:
                dues.append(unpack_task(packed))
            except CorruptValueError:  # of a newer version: one of its workers has it next
                continue
        return Batch(tuple(dues), waiting, dead)

    async def heartbeat(self, due: Task) -> None:
        """It takes longer: hold it anew."""
        await self._finish(due, "hold", self._hold)

    async def complete(self, due: Task) -> None:
        """It is done, unless it was noted anew meanwhile."""
        await self._finish(due, "done")

    async def defer(self, due: Task, after: timedelta) -> None:
        """It could not be done yet, and that was no fault of it."""
        await self._finish(due, "later", after.total_seconds() * _jitter())

    async def fail(self, due: Task, code: str) -> bool:
        """It failed; True if that was once too often, and it is given up."""
        return await self._finish(due, "failed", self._backoff.first, code) == b"dead"

    async def _finish(self, due: Task, how: str, seconds: float = 0.0, code: str = "") -> bytes:
        longest, attempts = self._backoff.longest, self._backoff.attempts
        return await self._connection.run(
            *(_SETTLE, keys.TASK_QUEUE, pack_task(due), self._token, how),
            *(seconds, longest, _jitter(), attempts, code),
        )


async def list_dead_tasks(connection: Connection) -> list[DeadTask]:
    """What was given up, the oldest first."""
    commands, call, found = connection.commands, connection.call, list[DeadTask]()
    for packed in await call(commands.zrange(f"{keys.TASK_QUEUE}dead", 0, -1)):
        name = packed.decode()
        at = await call(commands.zscore(f"{keys.TASK_QUEUE}dead", name))
        times = await call(commands.hget(f"{keys.TASK_QUEUE}failures", name))
        error = await call(commands.hget(f"{keys.TASK_QUEUE}errors", name))
        if at is not None:
            last = (error or b"").decode()
            found.append(DeadTask(unpack_task(packed), int(times or 0), last, at))
    return found


async def retry_tasks(connection: Connection, dues: Sequence[Task], *, again: bool) -> int:
    """Let what was given up be due again, or let it go; how many there were."""
    return await connection.run(_REVIVE, keys.TASK_QUEUE, int(again), *map(pack_task, dues))


async def forget_user(connection: Connection, user: User) -> None:
    """Take all that is due for a user off the agenda."""
    await connection.run(_FORGET, keys.TASK_QUEUE, mark_of(user))


def _jitter() -> float:
    return random.uniform(0.5, 1.0)  # noqa: S311
