"""What can be done with a user's records: keep, change, find, forget, undo.

From what is asked for to the record that is stored: the rules of terms, pins and topics.
"""

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


def redact_fields(fields: Mapping[str, Any], privacy: PrivacyPolicy) -> dict[str, Any]:
    """Fields of a record without what is not kept.

    Raises:
        InvalidInputError: the topic would not be the same without it, and two could become one.
    """
    topic = fields.get("topic")
    if topic is not None and privacy.for_storage(topic) != topic:
        raise InvalidInputError(
            "The topic holds private text or personal data, which is not stored. Choose another."
        )
    said = ("content", "tags", "entities", "metadata")
    return {name: privacy.redact_json(one) if name in said else one for name, one in fields.items()}


def build_write(
    draft: Mapping[str, Any], vector: Vector | None, records: Iterable[Record], now: float
) -> RecordWrite:
    """The write for a draft: of a new record, or of the one that holds its topic."""
    topic = draft.get("topic")
    before = next((one for one in records if topic is not None and one.topic == topic), None)
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
    """Pinned records are long-lived; short-term ones expire; long-term ones only if told to."""
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
    """The record to bring back: of a revision, before its deletion, or before its last change."""
    if revision is not None:
        found = [step.record for step in steps if step.record.revision == revision]
        return found[-1] if found else None
    if deleted:
        return steps[-1].record if steps else None
    return steps[-2].record if len(steps) > 1 else None


_TRIES = 5


class RecordService:
    """The records of every user, over one store.

    Args:
        store: the source of truth.
        views: the worker's indexes.
        embedder: of contents and queries.
        embed_seconds: how long a write waits for the embedder; its vector is made later, then.
        most: the most records of a user; 0 for any number.
        clock: seconds since the epoch.
        discretion: what is kept of what records say.
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
        """The user's records as they are now."""
        changes = await self._store.transcripts.changes_since(user, self._indexes.cursor(user))
        return (await self._indexes.catch_up(user, changes)).records

    async def get(self, user: User, record_id: str) -> Record:
        """One record.

        Raises:
            UnknownRecordError: the user has none of this id, or it has expired.
        """
        record = (await self.index(user)).get(record_id)
        if record is None or not record.is_alive(self.clock()):
            raise UnknownRecordError(record_id)
        return record

    async def create(self, user: User, drafts: Sequence[Mapping[str, Any]]) -> list[Record]:
        """Keep new records, all or none; one with a topic replaces what held the topic.

        Args:
            user: whose.
            drafts: fields of `Record`; at least `content`.

        Raises:
            InvalidInputError: a topic holds what is not kept.
        """
        drafts = [redact_fields(draft, self.privacy) for draft in drafts]
        vectors = await embed_with_timeout(
            self._embedder, [draft["content"] for draft in drafts], self._embed_seconds
        )
        for tries in range(1, _TRIES + 1):
            index, now = await self.index(user), self.clock()
            writes = [
                build_write(draft, vector, index, now)
                for draft, vector in zip(drafts, vectors, strict=True)
            ]
            try:
                await self._store.records.write(user, writes, limit=self._limit)
            except (RecordConflictError, TopicTakenError):
                if tries == _TRIES:
                    raise
            else:
                return [write.record for write in writes if write.record]
        raise AssertionError("the last try returns or raises")

    async def update(self, user: User, record_id: str, fields: Mapping[str, Any]) -> Record:
        """Change some fields of a record.

        Raises:
            UnknownRecordError: the user has none of this id.
            TopicTakenError: another record holds the topic.
            InvalidInputError: the topic holds what is not kept.
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
        """Make a record long-term: it no longer expires."""
        before, now = await self.get(user, record_id), self.clock()
        after = replace(before.promoted(now), revision=before.revision + 1)
        step = RecordChange(now, "promoted", after)
        await self._store.records.write(user, [RecordWrite(after, before, step=step)])
        return after

    async def delete(self, user: User, record_ids: Sequence[str]) -> int:
        """Delete records, all or none; how many there were. Each can be restored for a while.

        Raises:
            UnknownRecordError: the user has none of one of these ids.
        """
        now = self.clock()
        found = [await self.get(user, one) for one in dict.fromkeys(record_ids)]
        try:
            await self._delete(user, found, now)
        except RecordConflictError:  # one was shown meanwhile
            await self._delete(user, [await self.get(user, one.id) for one in found], now)
        return len(found)

    async def delete_where(self, user: User, where: Callable[[Record], bool]) -> int:
        """Delete all records for which `where` holds; how many."""
        now = self.clock()
        found = [one for one in await self.index(user) if one.is_alive(now) and where(one)]
        await self._delete(user, found, now)
        return len(found)

    async def archive(self, user: User, stale: StaleFilter) -> list[str]:
        """Archive what is stale; the ids. Pinned records stay."""
        for tries in range(1, _TRIES + 1):
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
            except RecordConflictError:  # one was shown or changed meanwhile
                if tries == _TRIES:
                    raise
            else:
                return [write.record.id for write in writes if write.record]
        raise AssertionError("the last try returns or raises")

    async def search(
        self,
        user: User,
        query: str,
        *,
        top_k: int,
        where: Callable[[Record], bool],
        selection: Selection = EVERYTHING,
    ) -> list[RecordHit]:
        """The records that answer `query` best; expired ones are none."""
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
        """What was done to a record in the last thirty days, the oldest step first.

        Raises:
            UnknownRecordError: nothing is known of it.
        """
        steps = await self._store.records.history(user, record_id)
        since = self.clock() - self._store.retention.history_seconds(user)
        kept = tuple(step for step in steps if step.at > since)
        if not kept:
            await self.get(user, record_id)
        return kept

    async def restore(self, user: User, record_id: str, revision: int | None = None) -> Record:
        """Bring a record back as it was: before its deletion, or as it was at a revision.

        Raises:
            UnknownRecordError: nothing is known of it, or not of that revision.
            InvalidInputError: there is nothing to undo.
        """
        current = (await self.index(user)).get(record_id)
        epoch = self._indexes.cursor(user).epoch
        steps, now = await self.history(user, record_id), self.clock()
        wanted = find_revision(steps, revision, deleted=current is None)
        if wanted is None:
            raise InvalidInputError(
                f"Memory {record_id!r} cannot be brought back to revision {revision!r}: its "
                "history, kept for thirty days, does not hold it."
            )
        vector = (await embed_with_timeout(self._embedder, [wanted.content], self._embed_seconds))[
            0
        ]
        newest = max(step.record.revision for step in steps)
        newest = max(newest, current.revision if current else 0)
        after = replace(wanted, revision=newest + 1, updated=now)
        if not after.is_alive(now):
            after = replace(after, expires=now + SHORT_TERM_SECONDS)
        write = RecordWrite(after, current, vector, RecordChange(now, "restored", after))
        await self._store.records.write(user, [write], limit=self._limit, epoch=epoch)
        return after

    async def record_accesses(self, user: User, times: Mapping[str, int]) -> None:
        """Note that records were shown; after the answer, never on its path."""
        index, now = await self.index(user), self.clock()
        known = [(index.get(one), count) for one, count in times.items()]
        writes = [RecordWrite(one.accessed(count, now), one) for one, count in known if one]
        try:
            await self._store.records.write(user, writes)
        except RecordConflictError:  # one was changed meanwhile; the others still count
            for write in writes:
                with contextlib.suppress(RecordConflictError):
                    await self._store.records.write(user, [write])

    async def _delete(self, user: User, records: Sequence[Record], now: float) -> None:
        writes = [RecordWrite(None, one, step=RecordChange(now, "deleted", one)) for one in records]
        if writes:
            await self._store.records.write(user, writes)
