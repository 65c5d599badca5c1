"""Lines of an export under the policy of who restores it, whatever that of who wrote it was."""

from dataclasses import replace

import msgspec

from memory.carrying import Line, MemoryLine, MessageLine, SessionLine, StepLine
from memory.drafting import kept_fields
from memory.privacy.discretion import Discretion
from memory.privacy.listening import Listeners
from memory.records import Record
from memory.types import Message


def kept_line(line: Line, listeners: Listeners, discretion: Discretion) -> Line:
    """What is kept of a line.

    Raises:
        InvalidInputError: a memory's topic holds what is not kept.
    """
    match line:
        case MessageLine():
            said = Message(line.role, line.content, line.time, line.author)
            kept = listeners.heard(line.session, said)
            return msgspec.structs.replace(line, content=kept.content, author=kept.author)
        case SessionLine():
            texts = {name: getattr(line, name) for name in ("title", "summary", "extract")}
            more = discretion.plain(line.more)
            return msgspec.structs.replace(line, **discretion.plain(texts), more=more)
        case MemoryLine():
            return MemoryLine(_kept_record(line.record, discretion))
        case StepLine():
            record = _kept_record(line.step.record, discretion)
            return StepLine(line.memory, replace(line.step, record=record))
        case _:
            return line


def _kept_record(record: Record, discretion: Discretion) -> Record:
    said = ("topic", "content", "tags", "entities", "metadata")
    return replace(
        record, **kept_fields({name: getattr(record, name) for name in said}, discretion)
    )
