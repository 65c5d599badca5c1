"""What is done for each thing that is due after an answer."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta

from onionskin.chains.extractor import Extractor
from onionskin.chains.summarizer import Summarizer
from onionskin.memory.combined import CombinedMemory
from onionskin.memory.records.service import RecordService
from onionskin.memory.retrieval.embedders.base import Embedder
from onionskin.memory.retrieval.embedding_backfill import EMBEDDING, embed_missing
from onionskin.memory.retrieval.index.index_cache import IndexCache
from onionskin.memory.store import RedisStore
from onionskin.memory.store.locks import LEASE_TIMEOUT, leased
from onionskin.memory.types.messages import User
from onionskin.memory.types.tasks import (
    EmbedTask,
    ExtractTask,
    RecordAccessTask,
    RecordUsageTask,
    SummarizeTask,
    Task,
)
from onionskin.memory.vector_databases.mirror import VectorDatabaseMirror
from onionskin.service.limits.budgets import Budgets
from onionskin.service.observability.pseudonyms import Pseudonyms


@dataclass(frozen=True, slots=True)
class TaskHandlers:
    """The hands that do it.

    Attributes:
        around: stands around each job.
        profiles: the memories of each profile, by name.
        default_profile: of sessions that were noted with none.
        hold: how long a user waits for a worker that died embedding.
        outside: a vector database that is filled, too.
    """

    store: RedisStore
    pseudonyms: Pseudonyms
    span: Callable[[Task], AbstractContextManager[object]]
    embedder: Embedder
    views: IndexCache
    records: RecordService
    budgets: Budgets
    summarizer: Summarizer
    extractor: Extractor
    profiles: Mapping[str, CombinedMemory]
    default_profile: str
    hold: timedelta = LEASE_TIMEOUT
    outside: VectorDatabaseMirror | None = None

    def should_run(self, due: Task) -> bool:
        """Whether there is anything to do for it: usage is not counted where no budget is set."""
        return self.budgets.counts or not isinstance(due, RecordUsageTask)

    async def run(self, due: Task) -> None:
        """Do one thing; when nothing is left of it, nothing happens."""
        await self.pseudonyms.note(due.user)
        with self.span(due):
            await self._do(due)

    async def _do(self, due: Task) -> None:
        match due:
            case RecordUsageTask():
                await self.budgets.spend(due.user, due.tokens, turn_id=due.turn_id)
            case RecordAccessTask():
                await self.records.record_accesses(due.user, dict.fromkeys(due.record_ids, 1))
            case EmbedTask():
                await self._embed(due.user)
            case SummarizeTask():
                await self._fold(due)
            case ExtractTask():
                await self._extract(due)

    async def _embed(self, user: User) -> None:
        async with leased(self.store, user, EMBEDDING, hold=self.hold):
            await embed_missing(user, store=self.store, embedder=self.embedder, views=self.views)
            if self.outside:
                await self.outside.sync(user)

    async def _fold(self, due: SummarizeTask) -> None:
        memory = self.profiles.get(due.profile or self.default_profile)
        if memory and memory.summary_policy:
            policy = memory.summary_policy.final if due.final else memory.summary_policy
            await self.summarizer.summarize(due.user, due.session_id, policy, memory.privacy)

    async def _extract(self, due: ExtractTask) -> None:
        memory = self.profiles.get(due.profile or self.default_profile)
        if memory and memory.extraction_policy and await self.budgets.allow(due.user):
            await self.extractor.extract(
                due.user,
                due.session_id,
                memory.extraction_policy,
                final=due.final,
                discretion=memory.privacy,
            )
