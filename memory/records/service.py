"""A user's long-term memories: create, update, search, archive, delete and restore records."""

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from onionskin.memory.errors import (
    InvalidInputError,
    RecordConflictError,
    TopicTakenError,
    UnknownRecordError,
)
from onionskin.memory.privacy.policy import UNREDACTED, PrivacyPolicy
from onionskin.memory.retrieval import (
    EVERYTHING,
    Embedder,
    IndexCache,
    RecordHit,
    RecordIndex,
    Selection,
    embed_with_timeout,
)
from onionskin.memory.store import RecordWrite, RedisStore
from onionskin.memory.types.messages import User, Vector
from onionskin.memory.types.records import (
    SHORT_TERM_SECONDS,
    Record,
    RecordChange,
    StaleFilter,
    new_record_id,
)

_ATTEMPTS = 5


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
    draft: Mapping[str, Any], vector: Vector | None, records: Iterable[Record], now: float
) -> RecordWrite:
    """The write for a draft: of a new record, or of the existing record with its topic."""
    topic = draft.get("topic")
    before = next(
        (record for record in records if topic is not None and record.topic == topic), None
    )
    if before is None:
        plain = Record(new_record_id(), draft["content"], "fact", "long", created=now, updated=now)
        fresh = replace(plain, **draft)
        record = apply_defaults(fresh, draft, now)
        return RecordWrite(record, None, vector, RecordChange(now, "created", record))
    changed = replace(before, **draft, updated=now, revision=before.revision + 1)
    if not changed.is_alive(now) and "expires" not in draft:
        changed = replace(changed, expires=None)
    record = apply_defaults(changed, draft, now)
    return RecordWrite(record, before, vector, RecordChange(now, "updated", record))


def apply_defaults(record: Record, given: Mapping[str, Any], now: float) -> Record:
    """Set the expiry: pinned records have none, short-term ones a default, others if given."""
    if record.pinned:
        return replace(record, archived=False, expires=None)
    if given.get("term") == "long" and "expires" not in given:
        return replace(record, expires=None)
    if record.term == "short" and record.expires is None:
        return replace(record, expires=now + SHORT_TERM_SECONDS)
    return record


def find_revision(
    steps: Sequence[RecordChange], revision: int | None, *, deleted: bool
) -> Record | None:
    """The record to restore: at `revision`, before its deletion, or before its last change."""
    if revision is not None:
        matching = [step.record for step in steps if step.record.revision == revision]
        return matching[-1] if matching else None
    if deleted:
        return steps[-1].record if steps else None
    return steps[-2].record if len(steps) > 1 else None


class RecordService:
    """Reads and writes the records of every user.

    Args:
        store: Access to Redis, the source of truth.
        indexes: Cached indexes of this process.
        embedder: Embeds contents and queries.
        embed_seconds: Time limit for the embedder; later vectors are made in the background.
        limit: Most records of one user; 0 for no limit.
        clock: Current time in Unix seconds.
        privacy: Privacy policy for the contents.
    """

    def __init__(
        self,
        store: RedisStore,
        indexes: IndexCache,
        embedder: Embedder,
        *,
        embed_seconds: float = 2.0,
        limit: int = 0,
        clock: Callable[[], float] = time.time,
        privacy: PrivacyPolicy = UNREDACTED,
    ) -> None:
        self._store, self._indexes, self._embedder = store, indexes, embedder
        self._embed_seconds, self._limit, self.clock = embed_seconds, limit, clock
        self.privacy = privacy

    async def index(self, user: User) -> RecordIndex:
        """The current index of the user's records."""
        changes = await self._store.transcripts.changes_since(user, self._indexes.cursor(user))
        return (await self._indexes.catch_up(user, changes)).records

    async def get(self, user: User, record_id: str) -> Record:
        """One record.

        Raises:
            UnknownRecordError: The user has no such record, or it has expired.
        """
        record = (await self.index(user)).get(record_id)
        if record is None or not record.is_alive(self.clock()):
            raise UnknownRecordError(record_id)
        return record

    async def create(self, user: User, drafts: Sequence[Mapping[str, Any]]) -> list[Record]:
        """Create records, all or none; a draft with a known topic updates that record.

        Args:
            user: Owner of the records.
            drafts: Fields of `Record`, at least `content`.

        Raises:
            InvalidInputError: A topic contains text that may not be stored.
        """
        drafts = [redact_fields(draft, self.privacy) for draft in drafts]
        vectors = await embed_with_timeout(
            self._embedder, [draft["content"] for draft in drafts], self._embed_seconds
        )
        for attempt in range(1, _ATTEMPTS + 1):
            index, now = await self.index(user), self.clock()
            writes = [
                build_write(draft, vector, index, now)
                for draft, vector in zip(drafts, vectors, strict=True)
            ]
            try:
                await self._store.records.write(user, writes, limit=self._limit)
            except (RecordConflictError, TopicTakenError):
                if attempt == _ATTEMPTS:
                    raise
            else:
                return [write.record for write in writes if write.record]
        raise AssertionError("the last attempt returns or raises")

    async def update(self, user: User, record_id: str, fields: Mapping[str, Any]) -> Record:
        """Update some fields of a record.

        Raises:
            UnknownRecordError: The user has no such record.
            TopicTakenError: Another record has the topic.
            InvalidInputError: The topic contains text that may not be stored.
        """
        fields = redact_fields(fields, self.privacy)
        vector = None
        if "content" in fields:
            texts = [fields["content"]]
            vector = (await embed_with_timeout(self._embedder, texts, self._embed_seconds))[0]
        before, now = await self.get(user, record_id), self.clock()
        after = apply_defaults(
            replace(before, **fields, updated=now, revision=before.revision + 1), fields, now
        )
        step = RecordChange(now, "archived" if fields == {"archived": True} else "updated", after)
        await self._store.records.write(user, [RecordWrite(after, before, vector, step)])
        return after

    async def promote(self, user: User, record_id: str) -> Record:
        """Make a record long-term, so that it no longer expires."""
        before, now = await self.get(user, record_id), self.clock()
        after = replace(before.promoted(now), revision=before.revision + 1)
        step = RecordChange(now, "promoted", after)
        await self._store.records.write(user, [RecordWrite(after, before, step=step)])
        return after

    async def delete(self, user: User, record_ids: Sequence[str]) -> int:
        """Delete records, all or none, and return their number; they can be restored for a while.

        Raises:
            UnknownRecordError: The user lacks one of the records.
        """
        now = self.clock()
        records = [await self.get(user, record_id) for record_id in dict.fromkeys(record_ids)]
        try:
            await self._delete(user, records, now)
        except RecordConflictError:  # an access was counted since
            records = [await self.get(user, record.id) for record in records]
            await self._delete(user, records, now)
        return len(records)

    async def delete_where(self, user: User, where: Callable[[Record], bool]) -> int:
        """Delete all records that match `where`, and return their number."""
        now = self.clock()
        index = await self.index(user)
        records = [record for record in index if record.is_alive(now) and where(record)]
        await self._delete(user, records, now)
        return len(records)

    async def archive(self, user: User, stale: StaleFilter) -> list[str]:
        """Archive stale records and return their ids; pinned records are never stale."""
        for attempt in range(1, _ATTEMPTS + 1):
            now = self.clock()
            writes: list[RecordWrite] = []
            for before in await self.index(user):
                if before.pinned or before.archived or not before.is_alive(now):
                    continue
                if stale.matches(before, now):
                    revision = before.revision + 1
                    after = replace(before, archived=True, updated=now, revision=revision)
                    writes.append(
                        RecordWrite(after, before, step=RecordChange(now, "archived", after))
                    )
            try:
                if writes:
                    await self._store.records.write(user, writes)
            except RecordConflictError:  # a record changed since it was read
                if attempt == _ATTEMPTS:
                    raise
            else:
                return [write.record.id for write in writes if write.record]
        raise AssertionError("the last attempt returns or raises")

    async def search(
        self,
        user: User,
        query: str,
        *,
        top_k: int,
        where: Callable[[Record], bool],
        selection: Selection = EVERYTHING,
    ) -> list[RecordHit]:
        """The best matches for `query` among the records that have not expired."""
        query = self.privacy.for_storage(query)
        vector = (await embed_with_timeout(self._embedder, [query], self._embed_seconds))[0]
        index, now = await self.index(user), self.clock()
        return index.search(
            query,
            vector,
            top_k=top_k,
            where=lambda record: record.is_alive(now) and where(record),
            selection=selection,
        )

    async def history(self, user: User, record_id: str) -> tuple[RecordChange, ...]:
        """The changes of a record in the last thirty days, oldest first.

        Raises:
            UnknownRecordError: The record has neither a history nor a value.
        """
        changes = await self._store.records.history(user, record_id, now=self.clock())
        if not changes:
            await self.get(user, record_id)
        return changes

    async def restore(self, user: User, record_id: str, revision: int | None = None) -> Record:
        """Restore a record: to a revision, to before its deletion, or to before its last change.

        Raises:
            UnknownRecordError: The record has neither a history nor a value.
            InvalidInputError: The history lacks the revision, or there is nothing to undo.
        """
        current = (await self.index(user)).get(record_id)
        epoch = self._indexes.cursor(user).epoch
        steps, now = await self.history(user, record_id), self.clock()
        earlier = find_revision(steps, revision, deleted=current is None)
        if earlier is None:
            raise InvalidInputError(
                f"Memory {record_id!r} cannot be restored to revision {revision!r}: its history, "
                "stored for thirty days, does not contain it."
            )
        vector = (await embed_with_timeout(self._embedder, [earlier.content], self._embed_seconds))[
            0
        ]
        newest = max(step.record.revision for step in steps)
        newest = max(newest, current.revision if current else 0)
        after = replace(earlier, revision=newest + 1, updated=now)
        if not after.is_alive(now):
            after = replace(after, expires=now + SHORT_TERM_SECONDS)
        write = RecordWrite(after, current, vector, RecordChange(now, "restored", after))
        await self._store.records.write(user, [write], limit=self._limit, epoch=epoch)
        return after

    async def record_accesses(self, user: User, times: Mapping[str, int]) -> None:
        """Count accesses of records; called after the answer, never before it."""
        index, now = await self.index(user), self.clock()
        counts = [(index.get(record_id), count) for record_id, count in times.items()]
        writes = [
            RecordWrite(record.accessed(count, now), record) for record, count in counts if record
        ]
        try:
            await self._store.records.write(user, writes)
        except RecordConflictError:  # a record changed since; the others still count
            for write in writes:
                with contextlib.suppress(RecordConflictError):
                    await self._store.records.write(user, [write])

    async def _delete(self, user: User, records: Sequence[Record], now: float) -> None:
        writes = [
            RecordWrite(None, record, step=RecordChange(now, "deleted", record))
            for record in records
        ]
        if writes:
            await self._store.records.write(user, writes)
