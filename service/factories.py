"""Builds collaborators from the settings: Redis, model options, embedder, breakers, limits."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from onionskin.chains.models.factory import ModelOptions
from onionskin.memory.circuit_breaker import CircuitBreaker
from onionskin.memory.errors import ConfigurationError
from onionskin.memory.privacy.retention import Retention
from onionskin.memory.profiles import load_retention
from onionskin.memory.retrieval import (
    CachedEmbedder,
    Embedder,
    EmbedderOptions,
    ResilientEmbedder,
    TextPipeline,
)
from onionskin.memory.store import (
    Connection,
    Durability,
    EmbeddedRedis,
    MasterKeys,
    RedisStore,
    StorageUsage,
    attach_or_start,
    configured_master_keys,
)
from onionskin.memory.types.messages import Vectors
from onionskin.memory.vector_databases.base import open_vector_database
from onionskin.memory.vector_databases.mirror import VectorDatabaseMirror
from onionskin.service.limits.budgets import Budget, Budgets
from onionskin.service.limits.storage_quotas import StorageQuota
from onionskin.service.observability.metrics import Metrics
from onionskin.service.settings import Settings, load_settings

T = TypeVar("T")


@asynccontextmanager
async def open_redis(settings: Settings) -> AsyncGenerator[str]:
    """The URL of the settings' Redis, or of an embedded one that runs until exit.

    Raises:
        ConfigurationError: `ONIONSKIN_DURABILITY` asks the embedded Redis for replicas.
        EmbeddedRedisError: The embedded Redis cannot be started.
    """
    if settings.redis_url:
        yield settings.redis_url.get_secret_value()
        return
    if Durability.of(settings.durability).replicas:
        raise ConfigurationError(
            f"ONIONSKIN_DURABILITY {settings.durability!r} needs replicas, which the embedded "
            "Redis does not have. Set ONIONSKIN_REDIS_URL to your own Redis."
        )
    async with EmbeddedRedis(settings.data_dir, settings.redis_server) as redis:
        yield redis.url


def connect(settings: Settings, url: str) -> Connection:
    """A connection to Redis with the settings' timeout and durability.

    Raises:
        ConfigurationError: The URL or the durability is invalid.
    """
    durability = Durability.of(settings.durability)
    return Connection(url, timeout=settings.redis_timeout, durability=durability)


def model_options(settings: Settings) -> ModelOptions:
    """The chat model of the settings, with its address, key, timeout and retries."""
    return ModelOptions(
        name=settings.model,
        base_url=settings.model_base_url,
        api_key=settings.openai_api_key,
        timeout=settings.model_timeout,
        retries=settings.model_retries,
    )


def embedder_options(settings: Settings) -> EmbedderOptions:
    """Key and address of a remote embedder."""
    return EmbedderOptions(settings.openai_api_key, settings.embedder_base_url)


@asynccontextmanager
async def open_vector_database_mirror(
    settings: Settings, store: RedisStore, encode: Callable[[Sequence[str]], Vectors] | None
) -> AsyncGenerator[VectorDatabaseMirror | None]:
    """The vector database of the settings, closed on exit; None if none is set."""
    if settings.vector_store is None:
        yield None
        return
    url, key = settings.vector_store_url, settings.vector_store_key
    database = open_vector_database(settings.vector_store, url, key)
    mirror = VectorDatabaseMirror(database, store, encode)
    try:
        yield mirror
    finally:
        await mirror.close()


def open_text_pipeline(language: str) -> TextPipeline:
    """The tokenizer and stemmer of a language.

    Raises:
        ConfigurationError: Snowball has no stemmer for it.
    """
    try:
        return TextPipeline.for_language(language)
    except KeyError as error:
        raise ConfigurationError(
            f"ONIONSKIN_LANGUAGE {language!r}: Snowball has no such stemmer."
        ) from error


def retention_of(settings: Settings, clock: Callable[[], float]) -> Retention:
    """How long sessions and memories are kept.

    Raises:
        ConfigurationError: A retention time is invalid.
    """
    return Retention(
        load_retention(settings.profiles),
        sessions=settings.retain_sessions,
        memories=settings.retain_memories,
        clock=clock,
    )


def master_keys(settings: Settings) -> MasterKeys | None:
    """The master keys of the settings; None without encryption.

    Raises:
        ConfigurationError: The keys cannot be read or used.
    """
    keys = settings.encryption_keys
    return configured_master_keys(
        keys.get_secret_value() if keys else None, settings.encryption_keys_file
    )


def model_circuit(settings: Settings, metrics: Metrics) -> CircuitBreaker:
    """The chat model's circuit breaker; its window fits a row of calls that time out."""
    circuit = CircuitBreaker(
        failures=settings.breaker_failures,
        window=settings.model_timeout * (settings.breaker_failures + 1),
        slow=settings.model_timeout,
    )
    description = "The chat model's circuit breaker: 0 closed, 1 open, 0.5 probing."
    metrics.watch("onionskin_model_circuit", description, lambda: circuit.level)
    return circuit


def resilient_embedder(
    embedder: Embedder, settings: Settings, connection: Connection, metrics: Metrics
) -> Embedder:
    """A remote embedder behind a cache and a circuit breaker; a local one as it is."""
    circuit = CircuitBreaker(
        failures=settings.breaker_failures,
        window=settings.embedder_timeout * 30,
        slow=settings.embedder_timeout * 0.9,
    )
    description = "The embedder's circuit breaker: 0 closed, 1 open, 0.5 probing."
    metrics.watch("onionskin_embedder_circuit", description, lambda: circuit.level)
    if embedder.local:
        return embedder
    resilient = ResilientEmbedder(embedder, circuit, connection, metrics.embedding)
    cached = settings.embedding_cache
    return CachedEmbedder(resilient, cached) if cached else resilient


def budgets_of(settings: Settings, store: RedisStore, clock: Callable[[], float]) -> Budgets:
    """The daily budgets of users and tenants."""
    return Budgets(
        store,
        user=Budget(settings.budget_user_calls, settings.budget_user_tokens),
        tenant=Budget(settings.budget_tenant_calls, settings.budget_tenant_tokens),
        refuse=settings.budget_spent == "refuse",
        clock=clock,
    )


def storage_quota_of(settings: Settings, store: RedisStore) -> StorageQuota:
    """The storage quotas of users and tenants."""
    return StorageQuota(
        store,
        user=StorageUsage(settings.budget_user_bytes),
        tenant=StorageUsage(settings.budget_tenant_bytes, settings.budget_tenant_memories),
    )


@asynccontextmanager
async def attach_redis(settings: Settings) -> AsyncGenerator[str]:
    """The URL of the settings' Redis; joins a running embedded one, or starts it until exit.

    Raises:
        EmbeddedRedisError: The embedded Redis cannot be started.
    """
    if settings.redis_url:
        yield settings.redis_url.get_secret_value()
        return
    async with attach_or_start(settings.data_dir, settings.redis_server) as url:
        yield url


def with_redis(work: Callable[[Connection], Awaitable[T]]) -> T:
    """The result of `work` on the settings' Redis, for commands beside a running service."""
    settings = load_settings()

    async def run() -> T:
        async with attach_redis(settings) as url:
            connection = connect(settings, url)
            try:
                return await work(connection)
            finally:
                await connection.aclose()

    return asyncio.run(run())
