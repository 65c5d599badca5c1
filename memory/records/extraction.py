"""When records are extracted from a session, and validation of the model's answer."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from onionskin.memory.answer_markup import visible_answer
from onionskin.memory.types.messages import Entry, Session

ExtractedKind: TypeAlias = Literal["fact", "preference", "entity", "relationship"]
LONGEST_CONTENT = 300
"""In characters: a record states one fact."""
_MAX_RECORDS = 200
_Name = Annotated[str, Meta(min_length=1, max_length=64)]


@dataclass(frozen=True, slots=True)
class ExtractionPolicy:
    """When records are extracted from a session.

    Attributes:
        messages: Number of new messages that triggers extraction at once.
        quiet_seconds: Time without a message after which fewer new messages suffice.
        batch: Most messages per model call.
        known: Most existing records that the model sees for comparison.
    """

    messages: int = 6
    quiet_seconds: float = 60.0
    batch: int = 40
    known: int = 24


class ExtractedRecord(msgspec.Struct, frozen=True):
    """One record of the model's answer. Numbers count from 1.

    Attributes:
        line: Number of the line that states it.
        same_as: Number of the known record with the same content.
        replaces: Numbers of known records that it makes untrue.
    """

    line: Annotated[int, Meta(ge=1)]
    kind: ExtractedKind
    content: Annotated[str, Meta(min_length=1, max_length=LONGEST_CONTENT)]
    entities: Annotated[tuple[_Name, ...], Meta(max_length=32)] = ()
    importance: Annotated[float, Meta(ge=0, le=1)] = 0.5
    same_as: Annotated[int, Meta(ge=1)] | None = None
    replaces: tuple[Annotated[int, Meta(ge=1)], ...] = ()


class _Answer(msgspec.Struct):
    memories: Annotated[list[Any], Meta(max_length=_MAX_RECORDS)]


def extraction_end(policy: ExtractionPolicy, session: Session, *, final: bool) -> int | None:
    """The position up to which extraction from a session is due; None if it is not."""
    waiting = session.length - session.extracted_upto
    live = session.abandoned.count_live(session.extracted_upto, session.length)
    if waiting <= 0 or (live < policy.messages and not (final or session.closed)):
        return None
    return session.extracted_upto + min(waiting, policy.batch)


def validate_extraction(
    answer: Any, lines: Sequence[Entry], known: int
) -> tuple[list[ExtractedRecord] | None, int]:
    """The valid records of a model's answer, and the number of invalid ones.

    Args:
        answer: The answer as plain data.
        lines: The lines that the model read.
        known: Number of known records that the model saw.

    Returns:
        None instead of records if the answer lacks the requested structure.
    """
    try:
        parts = msgspec.convert(answer, _Answer).memories
    except msgspec.ValidationError:
        return None, 0
    records = [_extracted_record(part, lines, known) for part in parts]
    return [record for record in records if record], sum(record is None for record in records)


def _extracted_record(part: Any, lines: Sequence[Entry], known: int) -> ExtractedRecord | None:
    try:
        record = msgspec.convert(part, ExtractedRecord)
    except msgspec.ValidationError:
        return None
    number = max((record.same_as or 0, *record.replaces))
    if record.line > len(lines) or number > known:
        return None
    if not record.content.strip() or "\0" in record.content:
        return None
    if visible_answer(record.content) != record.content:
        return None
    message = lines[record.line - 1].message
    source = message.content + (message.author or "")
    return record if _same_script(record.content, source) else None


def _same_script(content: str, source: str) -> bool:
    """Whether both texts share a script: a record stays in the language of its source."""
    content_scripts, source_scripts = _scripts(content), _scripts(source)
    if not content_scripts or not source_scripts:
        return True
    return bool(content_scripts & source_scripts)


def _scripts(text: str) -> set[str]:
    return {unicodedata.name(letter, "?").split()[0] for letter in text if letter.isalpha()}
