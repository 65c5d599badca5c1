"""The store: everything that is stored, in Redis and nowhere else."""

from onionskin.memory.store.records import ExtractionRange, RecordWrite
from onionskin.memory.store.redis.connection import Connection
from onionskin.memory.store.store import RedisStore
from onionskin.memory.store.task_queue import Backoff, DeadTask, TaskQueue, kind_of
from onionskin.memory.store.transcripts import Continuity, StoredTurn, entries_of

__all__ = [
    "Backoff",
    "Connection",
    "Continuity",
    "DeadTask",
    "ExtractionRange",
    "RecordWrite",
    "RedisStore",
    "StoredTurn",
    "TaskQueue",
    "entries_of",
    "kind_of",
]
