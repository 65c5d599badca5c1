"""Handlers of background tasks: summarize, embed, extract, count, call hooks."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta

from onionskin.chains.extractor import Extractor
from onionskin.chains.summarizer import Summarizer
from onionskin.chains.user_summary import UserSummarizer
from onionskin.memory.combined import CombinedMemory
from onionskin.memory.errors import UnknownSessionError, UnknownTurnError
from onionskin.memory.hooks import AfterTurn, run_hooks
from onionskin.memory.records.service import RecordService
from onionskin.memory.retrieval import (
    EMBEDDING,
    Embedder,
    IndexCache,
    embed_missing,
)
from onionskin.memory.store import LEASE_TIMEOUT, RedisStore, keys
from onionskin.memory.store.redis.fair_gate import set_group_of_commands
from onionskin.memory.types.messages import User
from onionskin.memory.types.tasks import (
    AfterTurnTask,
    EmbedTask,
    ExtractTask,
    RecordAccessTask,
    RecordUsageTask,
    SummarizeTask,
    SummarizeUserTask,
    Task,
)
from onionskin.memory.vector_databases.mirror import VectorDatabaseMirror
from onionskin.service.limits.budgets import Budgets
from onionskin.service.observability.pseudonyms import Pseudonyms


@dataclass(frozen=True, slots=True)
class TaskHandlers:
    """Runs one task with the collaborators it needs.

    Attributes:
        span: Opens the span of a task.
        memories: The memory of each profile, by name.
        default_profile: The profile of sessions that name none.
        lock_timeout: Time until another worker takes over the embedding of a user.
        vector_database: A vector database that mirrors embedded messages.
    """

    store: RedisStore
    pseudonyms: Pseudonyms
    span: Callable[[Task], AbstractContextManager[object]]
    embedder: Embedder
    indexes: IndexCache
    records: RecordService
    budgets: Budgets
    summarizer: Summarizer
    extractor: Extractor
    user_summarizer: UserSummarizer
    memories: Mapping[str, CombinedMemory]
    default_profile: str
    lock_timeout: timedelta = LEASE_TIMEOUT
    vector_database: VectorDatabaseMirror | None = None

    def should_run(self, task: Task) -> bool:
        """Whether there is anything to do; usage is only counted where a budget is set."""
        return self.budgets.counts or not isinstance(task, RecordUsageTask)

    async def run(self, task: Task) -> None:
        """Run one task; a task with nothing left to do does nothing."""
        set_group_of_commands(keys.prefix(task.user))
        await self.pseudonyms.note(task.user)
        with self.span(task):
            await self._handle(task)

    async def _handle(self, task: Task) -> None:
        match task:
            case RecordUsageTask():
                await self.budgets.spend(task.user, task.tokens, turn_id=task.turn_id)
            case RecordAccessTask():
                await self.records.record_accesses(task.user, dict.fromkeys(task.record_ids, 1))
            case EmbedTask():
                await self._embed(task.user)
            case SummarizeTask():
                await self._summarize(task)
            case ExtractTask():
                await self._extract(task)
            case AfterTurnTask():
                await self._call_hooks(task)
            case SummarizeUserTask():
                await self._summarize_user(task.user)

    async def _embed(self, user: User) -> None:
        async with self.store.locks.lease(user, EMBEDDING, timeout=self.lock_timeout):
            await embed_missing(
                user, store=self.store, embedder=self.embedder, indexes=self.indexes
            )
            if self.vector_database:
                await self.vector_database.sync(user)

    async def _summarize(self, task: SummarizeTask) -> None:
        memory = self.memories.get(task.profile or self.default_profile)
        if memory and memory.summary_policy:
            policy = memory.summary_policy.final if task.final else memory.summary_policy
            await self.summarizer.summarize(task.user, task.session_id, policy, memory.privacy)

    async def _summarize_user(self, user: User) -> None:
        if await self.budgets.allow(user):
            async with self.store.locks.lease(user, "summary", timeout=self.lock_timeout):
                tokens = await self.user_summarizer.refresh(user)
            if tokens:
                await self.budgets.spend(user, tokens)

    async def _call_hooks(self, task: AfterTurnTask) -> None:
        memory = self.memories.get(task.profile)
        if memory is None or not memory.hooks:
            return
        try:
            stored = await self.store.transcripts.turn(task.user, task.turn_id)
        except (UnknownTurnError, UnknownSessionError):
            return  # deleted since
        if stored.is_abandoned:
            return  # replaced since
        session_id = task.turn_id.partition(".")[0]
        turn = AfterTurn(task.user, session_id, task.turn_id, task.profile, stored.messages)
        await run_hooks(memory.hooks, turn)

    async def _extract(self, task: ExtractTask) -> None:
        memory = self.memories.get(task.profile or self.default_profile)
        if memory and memory.extraction_policy and await self.budgets.allow(task.user):
            await self.extractor.extract(
                task.user,
                task.session_id,
                memory.extraction_policy,
                final=task.final,
                privacy=memory.privacy,
            )
