"""Provenance of a record: its source turns, and the records it supersedes."""

from dataclasses import dataclass

from onionskin.memory.errors import UnknownTurnError
from onionskin.memory.records.service import RecordService
from onionskin.memory.store import RedisStore, StoredTurn
from onionskin.memory.types.messages import User
from onionskin.memory.types.records import Record


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a record comes from.

    Attributes:
        turns: The turns that stated it by id, oldest first; None for a deleted turn.
        supersedes: The records that it made untrue.
        superseded_by: The record that made it untrue.
    """

    record: Record
    turns: dict[str, StoredTurn | None]
    supersedes: tuple[Record, ...]
    superseded_by: Record | None


async def find_provenance(
    store: RedisStore, memories: RecordService, user: User, record_id: str
) -> Provenance:
    """The provenance of a record.

    Raises:
        UnknownRecordError: The user has no such record.
    """
    record = await memories.get(user, record_id)
    index = await memories.index(user)
    ids = [one for one in (record.source, *record.confirmed) if one]
    return Provenance(
        record,
        turns={one: await _turn(store, user, one) for one in ids},
        supersedes=tuple(one for one in index if one.superseded_by == record_id),
        superseded_by=index.get(record.superseded_by) if record.superseded_by else None,
    )


async def _turn(store: RedisStore, user: User, turn_id: str) -> StoredTurn | None:
    try:
        return await store.transcripts.turn(user, turn_id)
    except UnknownTurnError:
        return None
