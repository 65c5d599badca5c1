"""What a model draws from what was said: when it is due, and what of its answer can be used."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from onionskin.memory.types.messages import Entry, Session

ExtractedKind: TypeAlias = Literal["fact", "preference", "entity", "relationship"]
LONGEST_CONTENT = 300
"""In characters: a record says one thing."""
_MOST_DRAWN = 200
_Name = Annotated[str, Meta(min_length=1, max_length=64)]


@dataclass(frozen=True, slots=True)
class ExtractionPolicy:
    """When a session is drawn from.

    Attributes:
        messages: so many new ones make it due at once.
        quiet_seconds: fewer are due when nothing has been said for so long.
        batch: the most messages of one call of the model.
        known: the most records that the model is shown to compare with.
    """

    messages: int = 6
    quiet_seconds: float = 60.0
    batch: int = 40
    known: int = 24


class ExtractedRecord(msgspec.Struct, frozen=True):
    """One thing that the model drew.

    Attributes:
        line: the number of the line that says it, from 1.
        same_as: the number of the known record that says the same, from 1.
        replaces: the numbers of known records that are no longer true.
    """

    line: Annotated[int, Meta(ge=1)]
    kind: ExtractedKind
    content: Annotated[str, Meta(min_length=1, max_length=LONGEST_CONTENT)]
    entities: Annotated[tuple[_Name, ...], Meta(max_length=32)] = ()
    importance: Annotated[float, Meta(ge=0, le=1)] = 0.5
    same_as: Annotated[int, Meta(ge=1)] | None = None
    replaces: tuple[Annotated[int, Meta(ge=1)], ...] = ()


class _Answer(msgspec.Struct):
    memories: Annotated[list[Any], Meta(max_length=_MOST_DRAWN)]


def extraction_end(policy: ExtractionPolicy, session: Session, *, final: bool) -> int | None:
    """The position up to which a session is due to be drawn from, or None."""
    waiting = session.length - session.extracted_upto
    if waiting <= 0 or (waiting < policy.messages and not (final or session.closed)):
        return None
    return session.extracted_upto + min(waiting, policy.batch)


def validate_extraction(
    answer: Any, lines: Sequence[Entry], known: int
) -> tuple[list[ExtractedRecord] | None, int]:
    """What of a model's answer can be used, and how many of its parts cannot.

    Args:
        answer: what it said, as plain data.
        lines: what it was to draw from.
        known: how many known records it was shown.

    Returns:
        None for an answer that has not the form that was asked for.
    """
    try:
        parts = msgspec.convert(answer, _Answer).memories
    except msgspec.ValidationError:
        return None, 0
    drawn = [_extracted_record(part, lines, known) for part in parts]
    return [one for one in drawn if one], sum(one is None for one in drawn)


def _extracted_record(part: Any, lines: Sequence[Entry], known: int) -> ExtractedRecord | None:
    try:
        one = msgspec.convert(part, ExtractedRecord)
    except msgspec.ValidationError:
        return None
    told = max((one.same_as or 0, *one.replaces))
    if one.line > len(lines) or told > known or not one.content.strip() or "\0" in one.content:
        return None
    said = lines[one.line - 1].message
    return one if _same_script(one.content, said.content + (said.author or "")) else None


def _same_script(content: str, said: str) -> bool:
    """Whether they share a script: what was said in one language is not kept in another."""
    written, spoken = _scripts(content), _scripts(said)
    return not written or not spoken or bool(written & spoken)


def _scripts(text: str) -> set[str]:
    return {unicodedata.name(one, "?").split()[0] for one in text if one.isalpha()}
