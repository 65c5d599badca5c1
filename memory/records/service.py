"""A user's long-term memories: create, update, search, archive, delete and restore records."""

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from onionskin.memory.errors import (
    InvalidInputError,
    RecordChangedError,
    RecordConflictError,
    TopicTakenError,
    UnknownRecordError,
    UnknownTurnError,
)
from onionskin.memory.privacy.policy import UNREDACTED, PrivacyPolicy
from onionskin.memory.records.drafts import (
    apply_defaults,
    build_write,
    merged_fields,
    redact_fields,
)
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
    Action,
    Record,
    RecordChange,
    StaleFilter,
)
from onionskin.memory.types.snapshot import Hit

_ATTEMPTS = 100
"""One of several concurrent writers succeeds at each attempt."""


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
        short_term_seconds: Lifetime of short-term records that name no expiry.
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
        short_term_seconds: float = SHORT_TERM_SECONDS,
    ) -> None:
        self._short_term_seconds = short_term_seconds
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
            InvalidInputError: A topic contains text that may not be stored, or a source names a
                turn that the user does not have.
        """
        drafts = [redact_fields(draft, self.privacy) for draft in drafts]
        await self._check_sources(
            user, {draft["source"] for draft in drafts if draft.get("source")}
        )
        vectors = await embed_with_timeout(
            self._embedder, [draft["content"] for draft in drafts], self._embed_seconds
        )
        for attempt in range(1, _ATTEMPTS + 1):
            index, now = await self.index(user), self.clock()
            writes = [
                build_write(draft, vector, index, now, short_term_seconds=self._short_term_seconds)
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

    async def update(
        self,
        user: User,
        record_id: str,
        fields: Mapping[str, Any],
        *,
        version: str | None = None,
        replaces_metadata: bool = False,
    ) -> Record:
        """Update some fields of a record, whatever other writers change at the same time.

        Args:
            user: Owner of the record.
            record_id: The record.
            fields: New values; `metadata` is merged, and a null removes its key (RFC 7386).
            version: The `version` that the record must have; None for any.
            replaces_metadata: Whether `metadata` replaces the record's instead.

        Raises:
            UnknownRecordError: The user has no such record.
            RecordChangedError: The record has another version.
            TopicTakenError: Another record has the topic.
            InvalidInputError: The topic contains text that may not be stored.
        """
        fields = redact_fields(fields, self.privacy)
        vector = None
        if "content" in fields:
            texts = [fields["content"]]
            vector = (await embed_with_timeout(self._embedder, texts, self._embed_seconds))[0]
        action = "archived" if fields == {"archived": True} else "updated"

        merged = partial(merged_fields, replaces_metadata=replaces_metadata)

        def changed(before: Record, now: float) -> Record:
            after = replace(before, **merged(before, fields), updated=now)
            return apply_defaults(after, fields, now, short_term_seconds=self._short_term_seconds)

        return await self._change(user, record_id, changed, action, vector=vector, version=version)

    async def promote(self, user: User, record_id: str) -> Record:
        """Make a record long-term, so that it no longer expires."""
        return await self._change(
            user, record_id, lambda before, now: before.promoted(now), "promoted"
        )

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
        """Archive stale records and return their ids.

        Pinned records, preferences and rules are never stale.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            now = self.clock()
            writes: list[RecordWrite] = []
            for before in await self.index(user):
                if before.is_always_shown or before.archived or not before.is_alive(now):
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
        """The best matches for `query` among the records that have not expired.

        Records that are not current follow those that are. If only such records match, the current
        record that supersedes the best of them comes first, with the score 0.
        """
        query = self.privacy.for_storage(query)
        vector = (await embed_with_timeout(self._embedder, [query], self._embed_seconds))[0]
        view, now = await self._indexes.refresh(user), self.clock()
        quarantined_ids = view.quarantine.quarantined_ids

        def hits(admits: Callable[[Record], bool], count: int) -> list[RecordHit]:
            return view.records.search(
                query, vector, top_k=count, where=admits, selection=selection
            )

        def is_current(record: Record) -> bool:
            return where(record) and record.is_current(now, quarantined_ids)

        found = hits(lambda record: record.is_alive(now) and where(record), top_k)
        found.sort(key=lambda hit: not is_current(hit.record))
        if not found or is_current(found[0].record):
            return found
        best, newer = hits(is_current, 1), view.records.newest(found[0].record)
        if not best and is_current(newer):
            best = [RecordHit(newer, Hit(newer.entry(), 0.0, {}))]
        return [*best, *found][:top_k]

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
            after = replace(after, expires=now + self._short_term_seconds)
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

    async def _check_sources(self, user: User, turn_ids: Iterable[str]) -> None:
        for turn_id in turn_ids:
            try:
                await self._store.transcripts.turn(user, turn_id)
            except UnknownTurnError as error:
                raise InvalidInputError(
                    f"The source {turn_id!r} names no turn of this user. Use the `turn_id` of an "
                    "answer, or omit the source."
                ) from error

    async def _change(
        self,
        user: User,
        record_id: str,
        change: Callable[[Record, float], Record],
        action: Action,
        *,
        vector: Vector | None = None,
        version: str | None = None,
    ) -> Record:
        """Apply a change to the record as it is, again if it was written in between."""
        for attempt in range(1, _ATTEMPTS + 1):
            before, now = await self.get(user, record_id), self.clock()
            if version is not None and before.version != version:
                raise RecordChangedError(record_id)
            after = replace(change(before, now), revision=before.revision + 1)
            write = RecordWrite(after, before, vector, RecordChange(now, action, after))
            try:
                await self._store.records.write(user, [write])
            except RecordConflictError:
                if attempt == _ATTEMPTS:
                    raise
            else:
                return after
        raise AssertionError("the last attempt returns or raises")

    async def _delete(self, user: User, records: Sequence[Record], now: float) -> None:
        writes = [
            RecordWrite(None, record, step=RecordChange(now, "deleted", record))
            for record in records
        ]
        if writes:
            await self._store.records.write(user, writes)
