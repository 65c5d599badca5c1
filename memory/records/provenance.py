"""Why a record is believed: the turns that said it, and what it made untrue."""

from dataclasses import dataclass

from onionskin.memory.errors import UnknownTurnError
from onionskin.memory.records.service import RecordService
from onionskin.memory.store import RedisStore, StoredTurn
from onionskin.memory.types.messages import User
from onionskin.memory.types.records import Record


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a record rests on.

    Attributes:
        turns: by id, those that said it, the first one first; None for one that was deleted.
        supersedes: the records that it made untrue.
        superseded_by: the record that made it untrue.
    """

    record: Record
    turns: dict[str, StoredTurn | None]
    supersedes: tuple[Record, ...]
    superseded_by: Record | None


async def find_provenance(
    store: RedisStore, memories: RecordService, user: User, record_id: str
) -> Provenance:
    """Why a record is believed.

    Raises:
        UnknownRecordError: the user has none of this id.
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
