"""From what is asked for to the record that is stored: the rules of terms, pins and topics."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from memory.errors import InvalidInputError
from memory.privacy.discretion import Discretion
from memory.records import SHORT_TERM_SECONDS, Record, Step, new_record_id
from memory.store.recording import Write
from memory.types import Vector


def kept_fields(fields: Mapping[str, Any], discretion: Discretion) -> dict[str, Any]:
    """Fields of a record without what is not kept.

    Raises:
        InvalidInputError: the topic would not be the same without it, and two could become one.
    """
    topic = fields.get("topic")
    if topic is not None and discretion.kept(topic) != topic:
        raise InvalidInputError(
            "The topic holds private text or personal data, which is not stored. Choose another."
        )
    said = ("content", "tags", "entities", "metadata")
    return {name: discretion.plain(one) if name in said else one for name, one in fields.items()}


def kept(
    draft: Mapping[str, Any], vector: Vector | None, records: Iterable[Record], now: float
) -> Write:
    """The write for a draft: of a new record, or of the one that holds its topic."""
    topic = draft.get("topic")
    before = next((one for one in records if topic is not None and one.topic == topic), None)
    if before is None:
        plain = Record(new_record_id(), draft["content"], "fact", "long", created=now, updated=now)
        fresh = replace(plain, **draft)
        record = settled(fresh, draft, now)
        return Write(record, None, vector, Step(now, "created", record))
    changed = replace(before, **draft, updated=now, revision=before.revision + 1)
    if not changed.is_alive(now) and "expires" not in draft:
        changed = replace(changed, expires=None)
    record = settled(changed, draft, now)
    return Write(record, before, vector, Step(now, "updated", record))


def settled(record: Record, given: Mapping[str, Any], now: float) -> Record:
    """Pinned records are long-lived; short-term ones expire; long-term ones only if told to."""
    if record.pinned:
        return replace(record, archived=False, expires=None)
    if given.get("term") == "long" and "expires" not in given:
        return replace(record, expires=None)
    if record.term == "short" and record.expires is None:
        return replace(record, expires=now + SHORT_TERM_SECONDS)
    return record


def wanted_step(steps: Sequence[Step], revision: int | None, *, deleted: bool) -> Record | None:
    """The record to bring back: of a revision, before its deletion, or before its last change."""
    if revision is not None:
        found = [step.record for step in steps if step.record.revision == revision]
        return found[-1] if found else None
    if deleted:
        return steps[-1].record if steps else None
    return steps[-2].record if len(steps) > 1 else None
