"""From settings to what they name: a Redis, a chat model, a language.

The circuit breakers of this process: one for the chat model, one for a remote embedder.

The Redis of the settings, for commands beside the service that may be running.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from onionskin.chains.models.factory import ModelOptions
from onionskin.memory.circuit_breaker import CircuitBreaker
from onionskin.memory.errors import ConfigurationError
from onionskin.memory.privacy.retention import Retention
from onionskin.memory.profiles import load_retention
from onionskin.memory.retrieval.embedders.base import Embedder
from onionskin.memory.retrieval.embedders.providers import EmbedderOptions
from onionskin.memory.retrieval.embedders.resilient import ResilientEmbedder
from onionskin.memory.retrieval.language.analyzer import TextPipeline
from onionskin.memory.store import Connection, RedisStore
from onionskin.memory.store.encryption.master_keys import MasterKeys, configured_master_keys
from onionskin.memory.store.redis.durability import Durability
from onionskin.memory.store.redis.embedded import EmbeddedRedis, attach_or_start
from onionskin.memory.vector_databases.base import open_vector_database
from onionskin.memory.vector_databases.mirror import VectorDatabaseMirror
from onionskin.service.observability.metrics import Metrics
from onionskin.service.settings import Settings, load_settings


@asynccontextmanager
async def open_redis(settings: Settings) -> AsyncGenerator[str]:
    """The URL of the Redis that the settings name, or of an embedded one for as long."""
    if settings.redis_url:
        yield settings.redis_url.get_secret_value()
        return
    if Durability.of(settings.durability).replicas:
        raise ConfigurationError(
            f"ONIONSKIN_DURABILITY {settings.durability!r} asks for replicas, and the embedded Redis "
            "has none: name yours with ONIONSKIN_REDIS_URL."
        )
    async with EmbeddedRedis(settings.data_dir) as redis:
        yield redis.url


def connect(settings: Settings, url: str) -> Connection:
    """A connection to a Redis, with the timeout and the durability of the settings.

    Raises:
        ConfigurationError: the URL or the durability cannot be read.
    """
    durability = Durability.of(settings.durability)
    return Connection(url, timeout=settings.redis_timeout, durability=durability)


def model_options(settings: Settings) -> ModelOptions:
    """Which chat model the settings name, and how it is reached."""
    return ModelOptions(
        name=settings.model,
        base_url=settings.model_base_url,
        api_key=settings.openai_api_key,
        timeout=settings.model_timeout,
        retries=settings.model_retries,
    )


def embedder_options(settings: Settings) -> EmbedderOptions:
    """How a remote embedder is reached."""
    return EmbedderOptions(settings.openai_api_key, settings.embedder_base_url)


@asynccontextmanager
async def open_vector_database_mirror(
    settings: Settings, store: RedisStore
) -> AsyncGenerator[VectorDatabaseMirror | None]:
    """The vector database of the settings, closed in the end; None where there is none."""
    if settings.vector_store is None:
        yield None
        return
    url, key = settings.vector_store_url, settings.vector_store_key
    outside = VectorDatabaseMirror(open_vector_database(settings.vector_store, url, key), store)
    try:
        yield outside
    finally:
        await outside.close()


def open_text_pipeline(language: str) -> TextPipeline:
    """The analysis of texts in a language.

    Raises:
        ConfigurationError: there is no stemmer for it.
    """
    try:
        return TextPipeline.for_language(language)
    except KeyError as error:
        raise ConfigurationError(
            f"ONIONSKIN_LANGUAGE {language!r}: Snowball has no such stemmer."
        ) from error


def retention_of(settings: Settings, clock: Callable[[], float]) -> Retention:
    """For how long what is stored is kept.

    Raises:
        ConfigurationError: a time cannot be used.
    """
    return Retention(
        load_retention(settings.profiles),
        sessions=settings.retain_sessions,
        memories=settings.retain_memories,
        clock=clock,
    )


def master_keys(settings: Settings) -> MasterKeys | None:
    """The master keys of the settings; None where nothing is to be encrypted.

    Raises:
        ConfigurationError: they cannot be read or used.
    """
    given = settings.encryption_keys
    return configured_master_keys(
        given.get_secret_value() if given else None, settings.encryption_keys_file
    )


def model_circuit(settings: Settings, telemetry: Metrics) -> CircuitBreaker:
    """The chat model's: calls that end at the time limit, one after the other, are in a row."""
    circuit = CircuitBreaker(
        failures=settings.breaker_failures,
        window=settings.model_timeout * (settings.breaker_failures + 1),
        slow=settings.model_timeout,
    )
    about = "The chat model's circuit breaker: 0 closed, 1 open, 0.5 probing."
    telemetry.watch("onionskin_model_circuit", about, lambda: circuit.level)
    return circuit


def guarded(
    embedder: Embedder, settings: Settings, connection: Connection, telemetry: Metrics
) -> Embedder:
    """A remote embedder behind its own; a local one as it is."""
    circuit = CircuitBreaker(
        failures=settings.breaker_failures,
        window=settings.embedder_timeout * 30,
        slow=settings.embedder_timeout * 0.9,
    )
    about = "The embedder's circuit breaker: 0 closed, 1 open, 0.5 probing."
    telemetry.watch("onionskin_embedder_circuit", about, lambda: circuit.level)
    if embedder.local:
        return embedder
    return ResilientEmbedder(embedder, circuit, connection, telemetry.embedding)


T = TypeVar("T")


@asynccontextmanager
async def attach_redis(settings: Settings) -> AsyncGenerator[str]:
    """The URL of the settings' Redis; an embedded one is joined, or started for a while.

    Raises:
        EmbeddedRedisError: it cannot be started.
    """
    if settings.redis_url:
        yield settings.redis_url.get_secret_value()
        return
    async with attach_or_start(settings.data_dir) as url:
        yield url


def with_redis(work: Callable[[Connection], Awaitable[T]]) -> T:
    """What a command asks of Redis."""
    settings = load_settings()

    async def run() -> T:
        async with attach_redis(settings) as url:
            connection = connect(settings, url)
            try:
                return await work(connection)
            finally:
                await connection.aclose()

    return asyncio.run(run())
