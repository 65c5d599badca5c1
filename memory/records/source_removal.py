"""Removes source turns from records: what was drawn from them alone goes with them.

A record that other turns state as well stays, without the removed ones. A record that a removed one
has superseded is valid again.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from onionskin.memory.errors import EncryptedValueError, RecordConflictError, UnknownRecordError
from onionskin.memory.records.consolidation import latest_confirmations
from onionskin.memory.retrieval import IndexCache
from onionskin.memory.retrieval.index.index_cache import CachedIndex
from onionskin.memory.store import RecordWrite, RedisStore
from onionskin.memory.types.change_log import Abandon
from onionskin.memory.types.messages import Session, User
from onionskin.memory.types.records import Record, RecordChange

_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class SessionDeletion:
    """How much was deleted with a session."""

    messages: int
    memories: int


def writes_without_sources(
    records: Iterable[Record], is_removed: Callable[[str], bool], now: float
) -> list[RecordWrite]:
    """The writes that remove source turns from a user's records.

    Args:
        records: All records of the user.
        is_removed: Whether the turn with an id is removed.
        now: Current time in Unix seconds.
    """
    known = {record.id: record for record in records}
    gone = {one.id: one for one in known.values() if one.is_drawn_only_from(is_removed)}
    writes = [RecordWrite(None, record) for record in gone.values()]
    for before in known.values():
        if before.id in gone:
            continue
        after = _reinstated(_without_sources(before, is_removed), gone)
        if after is not before:
            after = replace(after, updated=now, revision=before.revision + 1)
            writes.append(RecordWrite(after, before, step=RecordChange(now, "updated", after)))
    return writes


async def delete_session(
    store: RedisStore, indexes: IndexCache, user: User, session_id: str
) -> SessionDeletion:
    """Delete a session and the records that were drawn from it alone, in one step.

    Raises:
        UnknownSessionError: The user has no such session.
        RecordConflictError: Records of the user keep changing.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            index = await indexes.refresh(user)
        except EncryptedValueError:  # nothing of a user whose key is lost can be read
            return SessionDeletion(await store.sessions.delete(user, session_id), 0)
        read_at = index.cursor
        writes = writes_without_sources(
            index.records, lambda turn: _session_of(turn) == session_id, store.records.now()
        )
        if not read_at.epoch:  # nothing is stored
            return SessionDeletion(await store.sessions.delete(user, session_id), 0)
        try:
            messages = await store.deletion.delete_session(
                user, session_id, writes, read_at=read_at
            )
        except RecordConflictError:
            if attempt == _ATTEMPTS:
                raise
        else:
            return SessionDeletion(messages, sum(write.record is None for write in writes))
    raise AssertionError("the last attempt returns or raises")


async def remove_abandoned(store: RedisStore, indexes: IndexCache, user: User) -> CachedIndex:
    """The user's index, without records that were drawn from replaced turns alone."""
    cached = await indexes.refresh(user)
    for _ in range(_ATTEMPTS):
        abandoned = cached.abandoned
        if not abandoned:
            return cached
        writes = writes_without_sources(
            cached.records,
            lambda turn: any(_covers(change, turn) for change in abandoned),  # noqa: B023
            store.records.now(),
        )
        try:
            if writes:
                await store.records.write(user, writes)
        except (RecordConflictError, UnknownRecordError):
            cached = await indexes.refresh(user)
            continue
        cached.abandoned = tuple(one for one in cached.abandoned if one not in abandoned)
        cached = await indexes.refresh(user)
    return cached


def _covers(change: Abandon, turn_id: str) -> bool:
    session_id, _, position = turn_id.partition(".")
    if session_id != change.session_id or not position.isdecimal():
        return False
    return change.first <= int(position) < change.first + change.count


async def add_copied_sources(
    store: RedisStore, indexes: IndexCache, user: User, original: Session, copy: Session
) -> None:
    """Make the turns of a copied session sources of what was drawn from the original's.

    Raises:
        RecordConflictError: Records of the user keep changing.
    """

    def copied(turn_id: str) -> str | None:
        session_id, _, position = turn_id.partition(".")
        if session_id != original.id or not position.isdecimal():
            return None
        place, abandoned = int(position), original.abandoned
        new_place = abandoned.count_live(0, place)
        is_copied = place not in abandoned and new_place < copy.length
        return f"{copy.id}.{new_place}" if is_copied else None

    for attempt in range(1, _ATTEMPTS + 1):
        writes: list[RecordWrite] = []
        for before in (await indexes.refresh(user)).records:
            turns = [turn for source in before.sources if (turn := copied(source))][-1:]
            if turns and turns[0] not in before.sources:
                after = replace(
                    before,
                    confirmed=latest_confirmations((*before.confirmed, *turns)),
                    revision=before.revision + 1,
                )
                writes.append(RecordWrite(after, before))
        try:
            if writes:
                await store.records.write(user, writes)
        except (RecordConflictError, UnknownRecordError):
            if attempt == _ATTEMPTS:
                raise
        else:
            return


def _session_of(turn_id: str) -> str:
    return turn_id.partition(".")[0]


def _without_sources(record: Record, is_removed: Callable[[str], bool]) -> Record:
    kept = [turn for turn in record.sources if not is_removed(turn)]
    if len(kept) == len(record.sources):
        return record
    source = None if record.source is None else kept.pop(0)
    return replace(record, source=source, confirmed=tuple(kept))


def _reinstated(record: Record, gone: Mapping[str, Record]) -> Record:
    """The record as valid as if the removed ones had never superseded it."""
    newer = gone.get(record.superseded_by or "")
    if newer is None:
        return record
    seen = {record.id, newer.id}
    while (newest := gone.get(newer.superseded_by or "")) and newest.id not in seen:
        seen.add(newest.id)
        newer = newest
    valid_to = newer.valid_to if newer.superseded_by else None
    return replace(record, valid_to=valid_to, superseded_by=newer.superseded_by)
