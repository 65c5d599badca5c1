"""What is done for each thing that is due after an answer."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta

from onionskin.chains.extractor import Extractor
from onionskin.chains.summarizer import Summarizer
from onionskin.memory.combined import CombinedMemory
from onionskin.memory.records.service import Memories
from onionskin.memory.retrieval.embedders.base import Embedder
from onionskin.memory.retrieval.embedding_backfill import EMBEDDING, embed_backlog
from onionskin.memory.retrieval.index.index_cache import Views
from onionskin.memory.store import RedisStore
from onionskin.memory.store.locks import HOLD, leased
from onionskin.memory.types.messages import User
from onionskin.memory.types.tasks import Due, EmbedDue, ExtractDue, FoldDue, SpendDue, UseDue
from onionskin.memory.vector_databases.mirror import Outside
from onionskin.service.limits.budgets import Budgets
from onionskin.service.observability.pseudonyms import Pseudonyms


@dataclass(frozen=True, slots=True)
class Work:
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
    around: Callable[[Due], AbstractContextManager[object]]
    embedder: Embedder
    views: Views
    records: Memories
    budgets: Budgets
    summarizer: Summarizer
    extractor: Extractor
    profiles: Mapping[str, CombinedMemory]
    default_profile: str
    hold: timedelta = HOLD
    outside: Outside | None = None

    def wanted(self, due: Due) -> bool:
        """Whether there is anything to do for it: usage is not counted where no budget is set."""
        return self.budgets.counts or not isinstance(due, SpendDue)

    async def run(self, due: Due) -> None:
        """Do one thing; when nothing is left of it, nothing happens."""
        await self.pseudonyms.note(due.user)
        with self.around(due):
            await self._do(due)

    async def _do(self, due: Due) -> None:
        match due:
            case SpendDue():
                await self.budgets.spend(due.user, due.tokens, turn_id=due.turn_id)
            case UseDue():
                await self.records.used(due.user, dict.fromkeys(due.record_ids, 1))
            case EmbedDue():
                await self._embed(due.user)
            case FoldDue():
                await self._fold(due)
            case ExtractDue():
                await self._extract(due)

    async def _embed(self, user: User) -> None:
        async with leased(self.store, user, EMBEDDING, hold=self.hold):
            await embed_backlog(user, store=self.store, embedder=self.embedder, views=self.views)
            if self.outside:
                await self.outside.fill(user)

    async def _fold(self, due: FoldDue) -> None:
        memory = self.profiles.get(due.profile or self.default_profile)
        if memory and memory.folds:
            policy = memory.folds.final if due.final else memory.folds
            await self.summarizer.fold(due.user, due.session_id, policy, memory.discretion)

    async def _extract(self, due: ExtractDue) -> None:
        memory = self.profiles.get(due.profile or self.default_profile)
        if memory and memory.extracts and await self.budgets.allow(due.user):
            await self.extractor.extract(
                due.user,
                due.session_id,
                memory.extracts,
                final=due.final,
                discretion=memory.discretion,
            )
