"""Wrappers that make a span of each call of a collaborator; used where traces are exported."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry.trace import SpanKind

from onionskin.memory.records.consolidation import RecordConsolidator
from onionskin.memory.records.extraction import ExtractedRecord
from onionskin.memory.records.service import RecordService
from onionskin.memory.retrieval import (
    EVERYTHING,
    Embedder,
    RecordHit,
    RecordIndex,
    Selection,
)
from onionskin.memory.session_lock import SessionLock
from onionskin.memory.store import Continuity, ExtractionRange, Sessions, StoreContext, Transcripts
from onionskin.memory.types.change_log import Cursor
from onionskin.memory.types.messages import (
    Committed,
    Entry,
    ImportStep,
    Message,
    Session,
    User,
    Vector,
    Vectors,
)
from onionskin.memory.types.records import Record, RecordChange, StaleFilter
from onionskin.memory.types.snapshot import Snapshot
from onionskin.service.observability.genai_attributes import Attributes, MemoryOperation
from onionskin.service.observability.tracing import Tracing


class InstrumentedTranscripts(Transcripts):
    """Transcripts whose two round trips of a turn are spans: `snapshot` and `commit`.

    Args:
        context: The connection, keyring and options of the store.
        sessions: Decides which sessions are readable.
        continuity: When sessions continue.
        tracing: Makes the spans.
    """

    def __init__(
        self,
        context: StoreContext,
        sessions: Sessions,
        continuity: Continuity,
        *,
        tracing: Tracing,
    ) -> None:
        super().__init__(context, sessions, continuity)
        self._tracing = tracing

    async def load_turn(
        self,
        user: User,
        session_id: str | None = None,
        *,
        now: float,
        since: Cursor | None,
        carry: bool = True,
        tail: int = 0,
        lock: SessionLock | None = None,
        fresh: bool = False,
        replaces_from: int | None = None,
    ) -> Snapshot:
        """See `Transcripts.load_turn`."""
        with self._tracing.span("snapshot", _redis("snapshot"), SpanKind.CLIENT):
            return await super().load_turn(
                user,
                session_id,
                now=now,
                since=since,
                carry=carry,
                tail=tail,
                lock=lock,
                fresh=fresh,
                replaces_from=replaces_from,
            )

    async def commit(
        self,
        user: User,
        session: Session,
        messages: Sequence[tuple[Message, Vector | None]],
        *,
        create: bool,
        epoch: str = "",
        step: ImportStep | None = None,
        lock_token: str = "",
        nonce: str = "",
        nonce_seconds: int = 0,
        keeps_nonce: bool = False,
        trace: bytes = b"",
        replaces_from: int | None = None,
        turn_position: int | None = None,
    ) -> Committed:
        """See `Transcripts.commit`."""
        with self._tracing.span("commit", _redis("commit"), SpanKind.CLIENT):
            return await super().commit(
                user,
                session,
                messages,
                create=create,
                epoch=epoch,
                step=step,
                lock_token=lock_token,
                nonce=nonce,
                nonce_seconds=nonce_seconds,
                keeps_nonce=keeps_nonce,
                trace=trace,
                replaces_from=replaces_from,
                turn_position=turn_position,
            )


class InstrumentedEmbedder:
    """An embedder whose calls are spans.

    Args:
        wrapped: The embedder that is called.
        tracing: Makes the spans.
    """

    def __init__(self, wrapped: Embedder, tracing: Tracing) -> None:
        self._wrapped, self._tracing = wrapped, tracing

    @property
    def tag(self) -> str:
        """The tag of the wrapped embedder."""
        return self._wrapped.tag

    @property
    def local(self) -> bool:
        """Whether the wrapped embedder is local."""
        return self._wrapped.local

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed the texts in a span; see `Embedder`."""
        attributes: Attributes = {
            "gen_ai.operation.name": "embeddings",
            "gen_ai.request.model": self.tag,
            "onionskin.texts": len(texts),
        }
        kind = SpanKind.INTERNAL if self.local else SpanKind.CLIENT
        with self._tracing.span(f"embeddings {self.tag}", attributes, kind):
            return await self._wrapped.embed(texts)


class InstrumentedRecordService(RecordService):
    """A record service whose operations are spans, named as the conventions name them.

    Args:
        wrapped: The service that is called.
        tracing: Makes the spans.
    """

    def __init__(self, wrapped: RecordService, tracing: Tracing) -> None:
        self._wrapped, self._tracing = wrapped, tracing
        self.clock, self.privacy = wrapped.clock, wrapped.privacy

    async def index(self, user: User) -> RecordIndex:
        """See `RecordService.index`; without a span."""
        return await self._wrapped.index(user)

    async def get(self, user: User, record_id: str) -> Record:
        """See `RecordService.get`; without a span."""
        return await self._wrapped.get(user, record_id)

    async def create(self, user: User, drafts: Sequence[Mapping[str, Any]]) -> list[Record]:
        """See `RecordService.create`; a draft with a topic makes it an upsert."""
        upserts = any(draft.get("topic") for draft in drafts)
        name = "upsert_memory" if upserts else "create_memory"
        operation = MemoryOperation(name, len(drafts))
        with self._tracing.memory(operation):
            operation.records = records = await self._wrapped.create(user, drafts)
            return records

    async def update(
        self,
        user: User,
        record_id: str,
        fields: Mapping[str, Any],
        *,
        version: str | None = None,
        replaces_metadata: bool = False,
    ) -> Record:
        """See `RecordService.update`."""
        operation = MemoryOperation("update_memory", 1, record_id)
        with self._tracing.memory(operation):
            record = await self._wrapped.update(
                user, record_id, fields, version=version, replaces_metadata=replaces_metadata
            )
            operation.records = [record]
            return record

    async def promote(self, user: User, record_id: str) -> Record:
        """See `RecordService.promote`."""
        operation = MemoryOperation("update_memory", 1, record_id)
        with self._tracing.memory(operation):
            record = await self._wrapped.promote(user, record_id)
            operation.records = [record]
            return record

    async def delete(self, user: User, record_ids: Sequence[str]) -> int:
        """See `RecordService.delete`."""
        record_id = record_ids[0] if len(record_ids) == 1 else ""
        with self._tracing.memory(MemoryOperation("delete_memory", len(record_ids), record_id)):
            return await self._wrapped.delete(user, record_ids)

    async def delete_where(self, user: User, where: Callable[[Record], bool]) -> int:
        """See `RecordService.delete_where`."""
        operation = MemoryOperation("delete_memory")
        with self._tracing.memory(operation):
            operation.count = await self._wrapped.delete_where(user, where)
            return operation.count

    async def archive(self, user: User, stale: StaleFilter) -> list[str]:
        """See `RecordService.archive`."""
        operation = MemoryOperation("update_memory")
        with self._tracing.memory(operation):
            record_ids = await self._wrapped.archive(user, stale)
            operation.count = len(record_ids)
            return record_ids

    async def search(
        self,
        user: User,
        query: str,
        *,
        top_k: int,
        where: Callable[[Record], bool],
        selection: Selection = EVERYTHING,
    ) -> list[RecordHit]:
        """See `RecordService.search`."""
        operation = MemoryOperation("search_memory", query=self.privacy.for_storage(query))
        with self._tracing.memory(operation):
            operation.records = hits = await self._wrapped.search(
                user, query, top_k=top_k, where=where, selection=selection
            )
            return hits

    async def history(self, user: User, record_id: str) -> tuple[RecordChange, ...]:
        """See `RecordService.history`; without a span."""
        return await self._wrapped.history(user, record_id)

    async def restore(self, user: User, record_id: str, revision: int | None = None) -> Record:
        """See `RecordService.restore`."""
        operation = MemoryOperation("update_memory", 1, record_id)
        with self._tracing.memory(operation):
            record = await self._wrapped.restore(user, record_id, revision)
            operation.records = [record]
            return record

    async def record_accesses(self, user: User, times: Mapping[str, int]) -> None:
        """See `RecordService.record_accesses`; without a span."""
        await self._wrapped.record_accesses(user, times)


class InstrumentedConsolidator(RecordConsolidator):
    """A consolidator that writes extracted records in a span.

    Args:
        wrapped: The consolidator that is called.
        tracing: Makes the spans.
    """

    def __init__(self, wrapped: RecordConsolidator, tracing: Tracing) -> None:
        self._wrapped, self._tracing = wrapped, tracing

    async def find_related(self, user: User, lines: Sequence[Entry], limit: int) -> list[Record]:
        """See `RecordConsolidator.find_related`; without a span."""
        return await self._wrapped.find_related(user, lines, limit)

    async def consolidate(
        self,
        user: User,
        lines: tuple[Sequence[Entry], Sequence[Entry]],
        extracted: Sequence[ExtractedRecord],
        known: Sequence[Record],
        extraction_range: ExtractionRange,
    ) -> str | None:
        """See `RecordConsolidator.consolidate`."""
        with self._tracing.memory(MemoryOperation("upsert_memory", len(extracted))):
            return await self._wrapped.consolidate(user, lines, extracted, known, extraction_range)


def _redis(operation: str) -> Attributes:
    return {"db.system.name": "redis", "db.operation.name": operation}
