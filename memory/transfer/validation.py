"""Validates an export beyond its types: order, completeness and value bounds."""

import re
from dataclasses import dataclass

from onionskin.memory.store import pack_record
from onionskin.memory.transfer.format import (
    EndLine,
    Line,
    MemoryLine,
    MessageLine,
    SessionLine,
    StepLine,
)
from onionskin.memory.types.branches import Abandoned
from onionskin.memory.types.records import Record, RecordChange

_RECORD_ID = re.compile(r"m_[0-9a-f]{16}")
_EARLIEST, _LATEST = -62_135_596_800.0, 253_402_300_799.0
_MOST_REVISIONS = 2**53
_RANGES = re.compile(r"(?:\d{1,15}-\d{1,15}(?: |$))*")
_FORKS = re.compile(r"(?:\d{1,15}:-?\d{1,15}(?: |$))*")


class ExportOrderError(ValueError):
    """A line is out of order, or has a value out of bounds."""


@dataclass(slots=True)
class ExportValidator:
    """Checks the lines of an export one by one.

    Attributes:
        session: The last session.
        messages: Number of its messages so far.
        memory: Id of the last memory.
        steps: Number of its history steps so far.
        lines: Number of lines so far, the header included.
        ended: Whether the end line has been accepted.
    """

    session: SessionLine | None = None
    messages: int = 0
    memory: str = ""
    steps: int = 0
    lines: int = 1
    ended: bool = False

    def accept(self, line: Line) -> None:
        """Check the next line.

        Raises:
            ExportOrderError: It is out of order or out of bounds.
            OverflowError: It contains a number that cannot be stored.
        """
        if self.ended:
            raise ExportOrderError("it follows the end")
        self.lines += 1
        match line:
            case SessionLine():
                self._accept_session(line)
            case MessageLine():
                self._accept_message(line)
            case MemoryLine():
                _check_record(line.record)
                self._begin_memory(line.record.id)
                self.steps = 0
            case EndLine():
                self._end(line)
            case StepLine():
                _check_step(line.memory, line.step)
                if line.memory != self.memory:
                    self._begin_memory(line.memory)
                    self.steps = 0
                self.steps += 1

    def end(self) -> None:
        """Raise ExportOrderError unless the end line was accepted."""
        self.end_session()
        if not self.ended:
            raise ExportOrderError("the end is missing: the export is truncated")

    def _end(self, line: EndLine) -> None:
        self.end_session()
        if line.lines != self.lines - 1:
            raise ExportOrderError(
                f"the end counts {line.lines!r} lines, {self.lines - 1} came before it"
            )
        self.ended = True

    def end_session(self) -> None:
        """Raise ExportOrderError unless all messages of the last session were accepted."""
        if self.session and self.messages != self.session.messages:
            raise ExportOrderError(
                f"session {self.session.id!r} has {self.session.messages} messages, but "
                f"{self.messages} came before this"
            )

    def _accept_session(self, line: SessionLine) -> None:
        self.end_session()
        if self.memory:
            raise ExportOrderError("a session follows the memories")
        if self.session and line.id <= self.session.id:
            raise ExportOrderError(f"session {line.id!r} follows {self.session.id!r}")
        if not line.summarized_upto <= line.folded_upto <= line.messages:
            raise ExportOrderError(f"session {line.id!r} is summarized beyond its end")
        if line.extracted_upto > line.messages:
            raise ExportOrderError(f"session {line.id!r} is extracted beyond its end")
        _check_branches(line)
        self.session, self.messages = line, 0

    def _accept_message(self, line: MessageLine) -> None:
        if self.session is None or self.memory or line.session != self.session.id:
            raise ExportOrderError(f"the message does not follow its session {line.session!r}")
        if line.position != self.messages or self.messages == self.session.messages:
            raise ExportOrderError(
                f"message {line.position!r} came where {self.messages!r} of "
                f"{self.session.messages!r} was expected"
            )
        self.messages += 1

    def _begin_memory(self, memory_id: str) -> None:
        self.end_session()
        if memory_id <= self.memory:
            raise ExportOrderError(f"memory {memory_id!r} follows {self.memory!r}")
        self.memory = memory_id


def _check_branches(line: SessionLine) -> None:
    """Raise ExportOrderError unless the abandoned messages are among those of the session."""
    abandoned, forks = line.more.get("abandoned", ""), line.more.get("forks", "")
    if not isinstance(abandoned, str) or not isinstance(forks, str):
        raise ExportOrderError(f"session {line.id!r} has branches that are not text")
    if not _RANGES.fullmatch(abandoned) or not _FORKS.fullmatch(forks):
        raise ExportOrderError(f"session {line.id!r} has branches in another form")
    end = 0
    for first, upto in Abandoned.parse(abandoned).ranges:
        if not end <= first < upto <= line.messages:
            raise ExportOrderError(f"session {line.id!r} abandons what it does not have")
        end = upto
    for fork in forks.split():
        position, _, predecessor = fork.partition(":")
        if not -1 <= int(predecessor) < int(position) < line.messages:
            raise ExportOrderError(f"session {line.id!r} branches beyond its end")


def _check_step(memory_id: str, step: RecordChange) -> None:
    _check_record(step.record)
    if step.record.id != memory_id or not _EARLIEST <= step.at <= _LATEST:
        raise ExportOrderError(f"the step is not one of memory {memory_id!r}")


def _check_record(record: Record) -> None:
    times = (record.created, record.updated, record.last_access, record.expires)
    for time in (*times, record.valid_from, record.valid_to):
        if time is not None and not _EARLIEST <= time <= _LATEST:
            raise ExportOrderError(f"the time {time!r} is out of bounds")
    if not _RECORD_ID.fullmatch(record.id):
        raise ExportOrderError(f"{record.id!r} is no memory id")
    if not 1 <= record.revision <= _MOST_REVISIONS or not 0 <= record.importance <= 1:
        raise ExportOrderError(
            f"memory {record.id!r} has a revision or an importance out of bounds"
        )
    if not record.content.strip() or record.topic == "":
        raise ExportOrderError(f"memory {record.id!r} has an empty content or topic")
    pack_record(
        record
    )  # rejects values that cannot be stored, such as integers of more than 64 bits
