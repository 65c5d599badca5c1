"""Opening a service: all that it is made of, for the server and the command line."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from onionskin.chains.callbacks import with_observer
from onionskin.chains.context import ContextBuilder
from onionskin.chains.conversation import ConversationChain
from onionskin.chains.extractor import Extractor
from onionskin.chains.models.circuit_breaker import Breaking
from onionskin.chains.models.factory import open_model
from onionskin.chains.observers import CallPurpose, CompositeObserver
from onionskin.chains.summarizer import Summarizer
from onionskin.memory.combined import CombinedMemory
from onionskin.memory.profiles import load_privacy_policies, load_profiles
from onionskin.memory.retrieval.embedders.providers import open_embedder
from onionskin.memory.retrieval.index.index_cache import IndexCache
from onionskin.memory.retrieval.index.user_index import UserIndex
from onionskin.memory.store import Continuity, RedisStore
from onionskin.memory.store.encryption.keyring import open_keyring
from onionskin.memory.store.users import StorageUsage
from onionskin.memory.transfer.upload import UploadHandler
from onionskin.service.auth.authenticators import open_authenticator
from onionskin.service.factories import (
    connect,
    embedder_options,
    guarded,
    master_keys,
    model_circuit,
    model_options,
    open_redis,
    open_text_pipeline,
    open_vector_database_mirror,
    retention_of,
)
from onionskin.service.limits.budgets import Budget, Budgets
from onionskin.service.limits.rate_limits import Limits
from onionskin.service.limits.storage_quotas import StorageQuota
from onionskin.service.observability.metrics import Metrics
from onionskin.service.observability.pseudonyms import Pseudonyms
from onionskin.service.observability.tracing_setup import Collaborators, open_tracing
from onionskin.service.openai.session_matching import SessionMatcher
from onionskin.service.settings import Settings
from onionskin.service.state import State
from onionskin.service.tasks.claim_release import ClaimReleaser
from onionskin.service.tasks.erasure_watcher import ErasureWatcher
from onionskin.service.tasks.handlers import TaskHandlers
from onionskin.service.tasks.startup import start_tasks


@asynccontextmanager
async def open_state(
    settings: Settings,
    *,
    telemetry: Metrics | None = None,
    clock: Callable[[], float] = time.time,
    runs_tasks: bool | None = None,
    redis_url: str = "",
) -> AsyncGenerator[State]:
    """Start what the settings ask for, and stop it in the end.

    Args:
        settings: see `Settings`.
        telemetry: told how it goes.
        clock: seconds since the epoch.
        runs_tasks: whether jobs are done here; as the settings say if None.
        redis_url: of a Redis that runs; as the settings say if empty.

    Raises:
        ConfigurationError: a setting cannot be used; the message says which.
        EmbeddedRedisError: the embedded Redis cannot be started.
    """
    telemetry = telemetry or Metrics()
    async with AsyncExitStack() as stack:
        tracing = await stack.enter_async_context(open_tracing(settings))
        breaking = Breaking(model_circuit(settings, telemetry))
        made = Collaborators(tracing, CompositeObserver(telemetry, breaking))
        profiles = load_profiles(settings.profiles)
        discretions = load_privacy_policies(settings.profiles, profiles, settings.redact)
        opened = await stack.enter_async_context(
            open_embedder(settings.embedder, embedder_options(settings))
        )
        model = await stack.enter_async_context(open_model(model_options(settings)))
        url = redis_url or await stack.enter_async_context(open_redis(settings))
        connection = connect(settings, url)
        stack.push_async_callback(connection.aclose)
        embedder = made.embedder(guarded(opened, settings, connection, telemetry))
        store = made.store(
            connection,
            embedder_tag=embedder.tag,
            continuity=Continuity(settings.idle_timeout, settings.carry_sessions),
            retention=retention_of(settings, clock),
            keyring=await open_keyring(
                connection, master_keys(settings), plaintext=settings.encryption_plaintext == "read"
            ),
        )
        outside = await stack.enter_async_context(open_vector_database_mirror(settings, store))
        pseudonyms, tongue = Pseudonyms(connection), open_text_pipeline(settings.language)
        views = IndexCache(
            store,
            lambda: UserIndex(tongue),
            most_bytes=settings.view_bytes,
            quarantines=settings.quarantine == "on",
        )
        records = made.memories(
            store,
            views,
            embedder,
            embed_seconds=settings.embedder_timeout.total_seconds(),
            limit=settings.most_memories,
            clock=clock,
            privacy=discretions.default,
        )
        budgets = _budgets(settings, store, clock)
        extractor = Extractor(
            store,
            made.learner(
                store,
                records,
                embedder,
                embed_seconds=settings.embedder_timeout.total_seconds(),
                limit=settings.most_memories,
            ),
            model,
            within=settings.model_timeout,
            observer=made.observer,
            tell=telemetry.extraction,
            spend=budgets.spend,
            held=views.quarantined_ids,
            hold=settings.job_hold,
        )
        memories = {
            name: CombinedMemory(
                name,
                profile,
                store=store,
                embedder=embedder,
                indexes=views,
                embed_timeout=settings.embedder_timeout,
                model=with_observer(model, CallPurpose("memory", made.observer)),
                can_extract=extractor.able,
                privacy=discretions.of(profile.redact),
                vector_database=outside,
            )
            for name, profile in profiles.items()
        }
        rooms = _rooms(settings, store)
        work = TaskHandlers(
            store=store,
            pseudonyms=pseudonyms,
            span=made.job,
            embedder=embedder,
            views=views,
            records=records,
            budgets=budgets,
            summarizer=Summarizer(
                store,
                model,
                within=settings.model_timeout,
                observer=made.observer,
                held=views.quarantined_ids,
                hold=settings.job_hold,
            ),
            extractor=extractor,
            profiles=memories,
            default_profile=settings.profile,
            hold=settings.job_hold,
            outside=outside,
        )
        jobs = await stack.enter_async_context(
            start_tasks(work, settings, telemetry=telemetry, clock=clock, runs_tasks=runs_tasks)
        )
        telemetry.watch(
            "onionskin_view_messages", "Messages in indexes.", lambda: views.cached_entries
        )
        telemetry.watch("onionskin_view_bytes", "Memory of indexes.", lambda: views.cached_bytes)
        telemetry.watch("onionskin_view_hits", "Turns that found a view.", lambda: views.hits)
        telemetry.watch("onionskin_view_misses", "Turns that filled one.", lambda: views.misses)
        chain = ConversationChain(
            memories,
            model,
            default_profile=settings.profile,
            within=settings.model_timeout,
            longest_message=settings.longest_message,
            after=jobs.submit,
            clock=clock,
            observer=made.observer,
        )
        importer = UploadHandler(
            store,
            embedder,
            clock=clock,
            on_task=jobs.submit,
            check_quota=rooms.check,
            privacy=discretions.default,
        )
        await stack.enter_async_context(ErasureWatcher(store, views))
        claims = await stack.enter_async_context(ClaimReleaser(store))
        yield State(
            settings=settings,
            store=store,
            chain=chain,
            context_builder=ContextBuilder(
                memories,
                default_profile=settings.profile,
                longest_message=settings.longest_message,
                clock=clock,
            ),
            importer=importer,
            tasks=jobs,
            profiles=profiles,
            claims=claims,
            authenticator=open_authenticator(settings, connection),
            limits=Limits(url, principal=settings.rate_principal, user=settings.rate_user),
            records=records,
            budgets=budgets,
            storage_quota=rooms,
            indexes=views,
            model=model,
            session_matcher=SessionMatcher(store, embedder, discretions),
            telemetry=telemetry,
            pseudonyms=pseudonyms,
            observer=made.observer,
            tracing=tracing,
            privacy_policies=discretions,
            vector_database=outside,
        )


def _budgets(settings: Settings, store: RedisStore, clock: Callable[[], float]) -> Budgets:
    return Budgets(
        store,
        user=Budget(settings.budget_user_calls, settings.budget_user_tokens),
        tenant=Budget(settings.budget_tenant_calls, settings.budget_tenant_tokens),
        refuse=settings.budget_spent == "refuse",
        clock=clock,
    )


def _rooms(settings: Settings, store: RedisStore) -> StorageQuota:
    return StorageQuota(
        store,
        user=StorageUsage(settings.budget_user_bytes),
        tenant=StorageUsage(settings.budget_tenant_bytes, settings.budget_tenant_memories),
    )
