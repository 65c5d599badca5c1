"""What spans are made of beside turns: one class around each collaborator, traced or plain."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry.trace import SpanKind

from onionskin.memory.records.consolidation import RecordConsolidator
from onionskin.memory.records.extraction import ExtractedRecord
from onionskin.memory.records.service import RecordService
from onionskin.memory.retrieval.embedders.base import Embedder
from onionskin.memory.retrieval.index.record_index import RecordHit
from onionskin.memory.store import RedisStore
from onionskin.memory.store.records import ExtractionRange
from onionskin.memory.types.messages import Committed, Entry, User, Vectors
from onionskin.memory.types.records import Record, StaleFilter
from onionskin.memory.types.snapshot import Snapshot
from onionskin.service.observability.genai_attributes import Attributes, MemoryOperation
from onionskin.service.observability.tracing import Tracing


class InstrumentedStore(RedisStore):
    """A store whose two round trips of a turn are spans: `snapshot` and `commit`."""

    def __init__(self, tracing: Tracing, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._tracing = tracing

    async def snapshot(self, *args: Any, **more: Any) -> Snapshot:
        """See `RedisStore`."""
        with self._tracing.within("snapshot", _redis("snapshot"), SpanKind.CLIENT):
            return await super().snapshot(*args, **more)

    async def commit(self, *args: Any, **more: Any) -> Committed:
        """See `RedisStore`."""
        with self._tracing.within("commit", _redis("commit"), SpanKind.CLIENT):
            return await super().commit(*args, **more)


class InstrumentedEmbedder:
    """Another embedder; each call of it is a span."""

    def __init__(self, tracing: Tracing, inner: Embedder) -> None:
        self._tracing, self._inner = tracing, inner

    @property
    def tag(self) -> str:
        """Of the other."""
        return self._inner.tag

    @property
    def local(self) -> bool:
        """Whether the other is."""
        return self._inner.local

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """As the other does."""
        attributes: Attributes = {
            "gen_ai.operation.name": "embeddings",
            "gen_ai.request.model": self.tag,
            "onionskin.texts": len(texts),
        }
        kind = SpanKind.INTERNAL if self.local else SpanKind.CLIENT
        with self._tracing.within(f"embeddings {self.tag}", attributes, kind):
            return await self._inner.embed(texts)


class InstrumentedRecordService(RecordService):
    """Records whose operations are spans, under the names of the conventions."""

    def __init__(self, tracing: Tracing, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._tracing = tracing

    async def create(self, user: User, drafts: Sequence[Mapping[str, Any]]) -> list[Record]:
        """See `Memories`; one with a topic takes the place of what holds the topic."""
        upserts = any(draft.get("topic") for draft in drafts)
        name = "upsert_memory" if upserts else "create_memory"
        operation = MemoryOperation(name, len(drafts))
        with self._tracing.memory(operation):
            operation.found = found = await super().create(user, drafts)
            return found

    async def update(self, user: User, record_id: str, fields: Mapping[str, Any]) -> Record:
        """See `Memories`."""
        operation = MemoryOperation("update_memory", 1, record_id)
        with self._tracing.memory(operation):
            found = await super().update(user, record_id, fields)
            operation.found = [found]
            return found

    async def promote(self, user: User, record_id: str) -> Record:
        """See `Memories`."""
        operation = MemoryOperation("update_memory", 1, record_id)
        with self._tracing.memory(operation):
            found = await super().promote(user, record_id)
            operation.found = [found]
            return found

    async def archive(self, user: User, stale: StaleFilter) -> list[str]:
        """See `Memories`."""
        operation = MemoryOperation("update_memory")
        with self._tracing.memory(operation):
            found = await super().archive(user, stale)
            operation.count = len(found)
            return found

    async def restore(self, user: User, record_id: str, revision: int | None = None) -> Record:
        """See `Memories`."""
        operation = MemoryOperation("update_memory", 1, record_id)
        with self._tracing.memory(operation):
            found = await super().restore(user, record_id, revision)
            operation.found = [found]
            return found

    async def delete(self, user: User, record_ids: Sequence[str]) -> int:
        """See `Memories`."""
        only = record_ids[0] if len(record_ids) == 1 else ""
        with self._tracing.memory(MemoryOperation("delete_memory", len(record_ids), only)):
            return await super().delete(user, record_ids)

    async def delete_where(self, user: User, where: Callable[[Record], bool]) -> int:
        """See `Memories`."""
        operation = MemoryOperation("delete_memory")
        with self._tracing.memory(operation):
            operation.count = await super().delete_where(user, where)
            return operation.count

    async def search(self, user: User, query: str, **more: Any) -> list[RecordHit]:
        """See `Memories`."""
        operation = MemoryOperation("search_memory", query=self.privacy.for_storage(query))
        with self._tracing.memory(operation):
            operation.found = found = await super().search(user, query, **more)
            return found


class InstrumentedConsolidator(RecordConsolidator):
    """What a model drew is kept in a span."""

    def __init__(self, tracing: Tracing, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._tracing = tracing

    async def consolidate(
        self,
        user: User,
        lines: tuple[Sequence[Entry], Sequence[Entry]],
        extracted: Sequence[ExtractedRecord],
        known: Sequence[Record],
        extraction_range: ExtractionRange,
    ) -> str | None:
        """See `Learner`."""
        with self._tracing.memory(MemoryOperation("upsert_memory", len(extracted))):
            return await super().consolidate(user, lines, extracted, known, extraction_range)


def _redis(operation: str) -> Attributes:
    return {"db.system.name": "redis", "db.operation.name": operation}
