"""Frozen dataclasses that every part of memory shares; they import nothing above them."""

from onionskin.memory.types.change_log import Changes, Cursor
from onionskin.memory.types.messages import (
    Committed,
    Entry,
    ImportStep,
    Message,
    Role,
    Session,
    SummaryState,
    User,
    Vector,
    Vectors,
)
from onionskin.memory.types.prompt_trace import HitTrace, LayerTrace
from onionskin.memory.types.records import Kind, Record, RecordChange, StaleFilter
from onionskin.memory.types.snapshot import Hit, Section, SessionDigest, Snapshot
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

__all__ = [
    "AfterTurnTask",
    "Changes",
    "Committed",
    "Cursor",
    "EmbedTask",
    "Entry",
    "ExtractTask",
    "Hit",
    "HitTrace",
    "ImportStep",
    "Kind",
    "LayerTrace",
    "Message",
    "Record",
    "RecordAccessTask",
    "RecordChange",
    "RecordUsageTask",
    "Role",
    "Section",
    "Session",
    "SessionDigest",
    "Snapshot",
    "StaleFilter",
    "SummarizeTask",
    "SummarizeUserTask",
    "SummaryState",
    "Task",
    "User",
    "Vector",
    "Vectors",
]
