"""From the fields of a request to the write of a record: redaction, merging, defaults."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from onionskin.memory.errors import InvalidInputError
from onionskin.memory.merge_patch import merge_metadata
from onionskin.memory.privacy.policy import PrivacyPolicy
from onionskin.memory.store import RecordWrite
from onionskin.memory.types.messages import Vector
from onionskin.memory.types.records import SHORT_TERM_SECONDS, Record, RecordChange, new_record_id

_REPLACED: dict[str, Any] = {
    "archived": False,
    "valid_from": None,
    "valid_to": None,
    "superseded_by": None,
    "source": None,
    "confirmed": (),
}


def redact_fields(fields: Mapping[str, Any], privacy: PrivacyPolicy) -> dict[str, Any]:
    """The fields of a record without private text and redacted data.

    Raises:
        InvalidInputError: The topic contains such text; two topics could become equal without it.
    """
    topic = fields.get("topic")
    if topic is not None and privacy.for_storage(topic) != topic:
        raise InvalidInputError(
            "The topic holds private text or personal data, which is not stored. Choose another."
        )
    texts = ("content", "tags", "entities", "metadata")
    return {
        name: privacy.redact_json(value) if name in texts else value
        for name, value in fields.items()
    }


def build_write(
    draft: Mapping[str, Any],
    vector: Vector | None,
    records: Iterable[Record],
    now: float,
    *,
    short_term_seconds: float = SHORT_TERM_SECONDS,
) -> RecordWrite:
    """The write for a draft: of a new record, or of the existing record with its topic."""
    topic = draft.get("topic")
    before = next(
        (record for record in records if topic is not None and record.topic == topic), None
    )
    if before is None:
        plain = Record(new_record_id(), draft["content"], "fact", "long", created=now, updated=now)
        fresh = replace(plain, **draft)
        record = apply_defaults(fresh, draft, now, short_term_seconds=short_term_seconds)
        return RecordWrite(record, None, vector, RecordChange(now, "created", record))
    replaced = {**_REPLACED, **draft}  # what was known of the old content is not true of the new
    changed = replace(before, **{"updated": now, **replaced}, revision=before.revision + 1)
    if not changed.is_alive(now) and "expires" not in draft:
        changed = replace(changed, expires=None)
    record = apply_defaults(changed, draft, now, short_term_seconds=short_term_seconds)
    return RecordWrite(record, before, vector, RecordChange(now, "updated", record))


def apply_defaults(
    record: Record,
    given: Mapping[str, Any],
    now: float,
    *,
    short_term_seconds: float = SHORT_TERM_SECONDS,
) -> Record:
    """Set the expiry: pinned records have none, short-term ones a default, others if given."""
    if record.pinned:
        return replace(record, archived=False, expires=None)
    if given.get("term") == "long" and "expires" not in given:
        return replace(record, expires=None)
    if record.term == "short" and record.expires is None:
        return replace(record, expires=now + short_term_seconds)
    return record


def merged_fields(
    before: Record, fields: Mapping[str, Any], *, replaces_metadata: bool = False
) -> dict[str, Any]:
    """The fields with the metadata merged, and what follows from a new validity."""
    merged = dict(fields)
    if "metadata" in fields and not replaces_metadata:
        merged["metadata"] = merge_metadata(before.metadata, fields["metadata"])
    if "valid_to" in fields and before.superseded_by is not None:
        merged["superseded_by"] = None
    return merged
