"""Assembles the service from its settings, for the server, the workers and the command line."""

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_core.language_models import BaseChatModel

from onionskin.chains.callbacks import with_observer
from onionskin.chains.context import ContextBuilder
from onionskin.chains.conversation import ConversationChain
from onionskin.chains.extractor import Extractor
from onionskin.chains.generation import LONGEST_ANSWER, Generator, TimedModel
from onionskin.chains.models.circuit_breaker import CircuitBreakerChatModel, CircuitBreakerModel
from onionskin.chains.models.factory import open_model
from onionskin.chains.observers import CompositeObserver, TurnObserver
from onionskin.chains.summarizer import Summarizer
from onionskin.chains.user_summary import UserSummarizer
from onionskin.memory.combined import CombinedMemory
from onionskin.memory.context_window import ContextWindow
from onionskin.memory.message_append import MessageAppender
from onionskin.memory.privacy.policy import PrivacyPolicies
from onionskin.memory.profiles import Profile, load_privacy_policies, load_profiles
from onionskin.memory.records.consolidation import RecordConsolidator
from onionskin.memory.records.service import RecordService
from onionskin.memory.retrieval import (
    ConversationSearch,
    Embedder,
    IndexCache,
    UserIndex,
    open_embedder,
    passage_encoder,
)
from onionskin.memory.store import Connection, Continuity, Keyring, RedisStore
from onionskin.memory.time_zones import TimeZone
from onionskin.memory.transfer.upload import UploadHandler
from onionskin.memory.types.messages import Vectors
from onionskin.memory.vector_databases.mirror import VectorDatabaseMirror
from onionskin.service.auth.authenticators import open_authenticator
from onionskin.service.factories import (
    budgets_of,
    connect,
    embedder_options,
    master_keys,
    model_circuit,
    model_options,
    open_redis,
    open_text_pipeline,
    open_vector_database_mirror,
    resilient_embedder,
    retention_of,
    storage_quota_of,
)
from onionskin.service.limits.budgets import Budgets
from onionskin.service.limits.rate_limits import RateLimits
from onionskin.service.limits.storage_quotas import StorageQuota
from onionskin.service.observability.metrics import Metrics
from onionskin.service.observability.pseudonyms import Pseudonyms
from onionskin.service.observability.tracing_setup import Instrumentation, open_tracing
from onionskin.service.openai.session_matching import SessionMatcher
from onionskin.service.settings import Settings
from onionskin.service.state import State
from onionskin.service.tasks.claim_release import ClaimReleaser
from onionskin.service.tasks.erasure_watcher import ErasureWatcher
from onionskin.service.tasks.handlers import TaskHandlers
from onionskin.service.tasks.runner import TaskRunner
from onionskin.service.tasks.startup import start_tasks

if TYPE_CHECKING:
    from onionskin.service.observability.tracing import Tracing


@asynccontextmanager
async def open_state(
    settings: Settings,
    *,
    metrics: Metrics | None = None,
    clock: Callable[[], float] = time.time,
    runs_tasks: bool | None = None,
    redis_url: str = "",
) -> AsyncGenerator[State]:
    """The running service of the settings; everything is stopped on exit.

    Args:
        settings: See `Settings`.
        metrics: Counts turns, calls and tasks.
        clock: Seconds since the epoch.
        runs_tasks: Whether background tasks run here; None for what the settings say.
        redis_url: URL of a running Redis; empty for the one of the settings.

    Raises:
        ConfigurationError: A setting cannot be used; the message says which.
        EmbeddedRedisError: The embedded Redis cannot be started.
    """
    metrics = metrics or Metrics()
    async with AsyncExitStack() as stack:
        tracing = await stack.enter_async_context(open_tracing(settings))
        model = await stack.enter_async_context(open_model(model_options(settings)))
        core = _build_core(settings, clock, metrics, tracing, model)
        storage = await _open_storage(core, redis_url, stack)
        limits = _Limits(
            RateLimits(storage.url, principal=settings.rate_principal, user=settings.rate_user),
            budgets_of(settings, storage.store, clock),
            storage_quota_of(settings, storage.store),
        )
        memory = _build_memory(core, storage, limits)
        handlers = _build_handlers(core, storage, limits, memory)
        tasks = await stack.enter_async_context(
            start_tasks(handlers, settings, metrics=metrics, clock=clock, runs_tasks=runs_tasks)
        )
        await stack.enter_async_context(ErasureWatcher(storage.store, memory.indexes))
        claims = await stack.enter_async_context(ClaimReleaser(storage.store))
        yield _build_state(core, storage, limits, memory, tasks=tasks, claims=claims)


@dataclass(frozen=True, slots=True)
class _Core:
    settings: Settings
    clock: Callable[[], float]
    metrics: Metrics
    tracing: "Tracing | None"
    instrumentation: Instrumentation
    generator: Generator
    classic_model: BaseChatModel


@dataclass(frozen=True, slots=True)
class _Storage:
    url: str
    connection: Connection
    store: RedisStore
    embedder: Embedder
    encode: Callable[[Sequence[str]], Vectors] | None
    vector_database: VectorDatabaseMirror | None
    pseudonyms: Pseudonyms


@dataclass(frozen=True, slots=True)
class _Limits:
    rates: RateLimits
    budgets: Budgets
    storage: StorageQuota


@dataclass(frozen=True, slots=True)
class _Memory:
    profiles: Mapping[str, Profile]
    privacy: PrivacyPolicies
    indexes: IndexCache
    records: RecordService
    extractor: Extractor
    user_summarizer: UserSummarizer
    combined: Mapping[str, CombinedMemory]


def _build_core(
    settings: Settings,
    clock: Callable[[], float],
    metrics: Metrics,
    tracing: "Tracing | None",
    model: BaseChatModel,
) -> _Core:
    """The model and its observers.

    The wrappers of the model, from outside: observers, circuit breaker, time limit. LangChain's
    classic memories get a chat model with the same observers and circuit.
    """
    observer: TurnObserver = CompositeObserver(metrics, tracing) if tracing else metrics
    circuit = model_circuit(settings, metrics)
    longest = max(LONGEST_ANSWER, settings.longest_message)
    timed = TimedModel(model, settings.model_timeout, longest_answer=longest)
    generator = Generator(CircuitBreakerModel(timed, circuit), observer, longest_answer=longest)
    classic_model = CircuitBreakerChatModel(inner=model, circuit=circuit)
    classic_model = with_observer(classic_model, observer, purpose="memory", innermost=model)
    instrumentation = Instrumentation(tracing)
    return _Core(settings, clock, metrics, tracing, instrumentation, generator, classic_model)


async def _open_storage(core: _Core, redis_url: str, stack: AsyncExitStack) -> _Storage:
    """Redis, the store over it, the embedder, and the vector database.

    The wrappers of the embedder, from outside: spans; cache and circuit breaker, if it is remote.
    """
    settings = core.settings
    url = redis_url or await stack.enter_async_context(open_redis(settings))
    connection = connect(settings, url)
    stack.push_async_callback(connection.aclose)
    provider = await stack.enter_async_context(
        open_embedder(settings.embedder, embedder_options(settings))
    )
    embedder = core.instrumentation.embedder(
        resilient_embedder(provider, settings, connection, core.metrics)
    )
    keyring = await Keyring.open(
        connection, master_keys(settings), plaintext=settings.encryption_plaintext == "read"
    )
    store = RedisStore(
        connection,
        embedder_tag=embedder.tag,
        continuity=Continuity(settings.idle_timeout, settings.carry_sessions),
        retention=retention_of(settings, core.clock),
        keyring=keyring,
        transcripts=core.instrumentation.transcripts(),
    )
    encode = passage_encoder(provider)
    vector_database = await stack.enter_async_context(
        open_vector_database_mirror(settings, store, encode)
    )
    pseudonyms = Pseudonyms(connection)
    return _Storage(url, connection, store, embedder, encode, vector_database, pseudonyms)


def _build_memory(core: _Core, storage: _Storage, limits: _Limits) -> _Memory:
    """The memory of each profile, with the indexes and records that they share."""
    settings = core.settings
    context = ContextWindow(settings.model_context)
    profiles = load_profiles(settings.profiles, context)
    privacy = load_privacy_policies(settings.profiles, profiles, settings.redact)
    pipeline = open_text_pipeline(settings.language)
    indexes = IndexCache(
        storage.store,
        lambda: UserIndex(pipeline, encode=storage.encode),
        max_bytes=settings.view_bytes,
        quarantines=settings.quarantine == "on",
    )
    core.metrics.watch_indexes(indexes)
    records = core.instrumentation.records(
        RecordService(
            storage.store,
            indexes,
            storage.embedder,
            embed_seconds=settings.embedder_timeout.total_seconds(),
            limit=settings.most_memories,
            clock=core.clock,
            privacy=privacy.default,
            short_term_seconds=settings.short_term.total_seconds(),
        )
    )
    extractor = _build_extractor(core, storage, limits, indexes, records)
    combined = {
        name: CombinedMemory(
            name,
            profile,
            store=storage.store,
            embedder=storage.embedder,
            indexes=indexes,
            embed_timeout=settings.embedder_timeout,
            model=core.classic_model,
            can_extract=extractor.is_supported,
            privacy=privacy.of(profile.redact),
            vector_database=storage.vector_database,
            time_zone=TimeZone.stored(settings.timezone),
            context=context,
        )
        for name, profile in profiles.items()
    }
    user_summarizer = UserSummarizer(
        storage.store, records, indexes, core.generator, privacy=privacy.default, clock=core.clock
    )
    return _Memory(profiles, privacy, indexes, records, extractor, user_summarizer, combined)


def _build_extractor(
    core: _Core, storage: _Storage, limits: _Limits, indexes: IndexCache, records: RecordService
) -> Extractor:
    settings = core.settings
    consolidator = RecordConsolidator(
        storage.store,
        records,
        storage.embedder,
        embed_seconds=settings.embedder_timeout.total_seconds(),
        limit=settings.most_memories,
    )
    return Extractor(
        storage.store,
        core.instrumentation.consolidator(consolidator),
        core.generator,
        on_batch=core.metrics.extraction,
        on_usage=limits.budgets.spend,
        context=ContextWindow(core.settings.model_context),
        quarantined_ids=indexes.quarantined_ids,
        lock_timeout=settings.job_hold,
        time_zone=TimeZone.stored(settings.timezone),
    )


def _build_handlers(
    core: _Core, storage: _Storage, limits: _Limits, memory: _Memory
) -> TaskHandlers:
    settings = core.settings
    summarizer = Summarizer(
        storage.store,
        core.generator,
        quarantined_ids=memory.indexes.quarantined_ids,
        lock_timeout=settings.job_hold,
        context=ContextWindow(settings.model_context),
    )
    return TaskHandlers(
        store=storage.store,
        pseudonyms=storage.pseudonyms,
        span=core.instrumentation.task_span,
        embedder=storage.embedder,
        indexes=memory.indexes,
        records=memory.records,
        budgets=limits.budgets,
        summarizer=summarizer,
        extractor=memory.extractor,
        user_summarizer=memory.user_summarizer,
        memories=memory.combined,
        default_profile=settings.profile,
        lock_timeout=settings.job_hold,
        vector_database=storage.vector_database,
    )


def _build_chain(core: _Core, memory: _Memory, tasks: TaskRunner) -> ConversationChain:
    settings = core.settings
    return ConversationChain(
        memory.combined,
        core.generator,
        default_profile=settings.profile,
        longest_message=settings.longest_message,
        on_task=tasks.submit,
        clock=core.clock,
    )


def _build_appender(
    core: _Core, storage: _Storage, memory: _Memory, tasks: TaskRunner
) -> MessageAppender:
    return MessageAppender(
        memory.combined,
        default_profile=core.settings.profile,
        store=storage.store,
        embedder=storage.embedder,
        indexes=memory.indexes,
        clock=core.clock,
        on_task=tasks.submit,
        extracts=memory.extractor.is_supported,
        has_vector_database=storage.vector_database is not None,
    )


def _build_state(
    core: _Core,
    storage: _Storage,
    limits: _Limits,
    memory: _Memory,
    *,
    tasks: TaskRunner,
    claims: ClaimReleaser,
) -> State:
    settings = core.settings
    return State(
        settings=settings,
        store=storage.store,
        chain=_build_chain(core, memory, tasks),
        context_builder=ContextBuilder(
            memory.combined,
            default_profile=settings.profile,
            longest_message=settings.longest_message,
            clock=core.clock,
        ),
        importer=UploadHandler(
            storage.store,
            storage.embedder,
            clock=core.clock,
            on_task=tasks.submit,
            check_quota=limits.storage.check,
            privacy=memory.privacy.default,
        ),
        tasks=tasks,
        profiles=memory.profiles,
        claims=claims,
        authenticator=open_authenticator(settings, storage.connection),
        rate_limits=limits.rates,
        records=memory.records,
        budgets=limits.budgets,
        storage_quota=limits.storage,
        indexes=memory.indexes,
        user_summarizer=memory.user_summarizer,
        appender=_build_appender(core, storage, memory, tasks),
        conversation_search=ConversationSearch(
            memory.indexes,
            storage.embedder,
            embed_seconds=settings.embedder_timeout.total_seconds(),
        ),
        generator=core.generator,
        session_matcher=SessionMatcher(storage.store, storage.embedder, memory.privacy),
        metrics=core.metrics,
        pseudonyms=storage.pseudonyms,
        tracing=core.tracing,
        privacy_policies=memory.privacy,
        vector_database=storage.vector_database,
    )
