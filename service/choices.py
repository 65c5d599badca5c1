"""From settings to what they name: a Redis, a chat model, a language."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from chains.models import ModelOptions
from memory.errors import ConfigurationError
from memory.outside.collections import open_collections
from memory.outside.outside import Outside
from memory.privacy.retention import Retention
from memory.profiles import load_retention
from memory.recall.embedder import EmbedderOptions
from memory.recall.tongue import Tongue
from memory.store import Connection, RedisStore
from memory.store.durability import Durability
from memory.store.embedded import EmbeddedRedis
from memory.store.master_keys import MasterKeys, configured_master_keys
from service.settings import Settings


@asynccontextmanager
async def open_redis(settings: Settings) -> AsyncGenerator[str]:
    """The URL of the Redis that the settings name, or of an embedded one for as long."""
    if settings.redis_url:
        yield settings.redis_url.get_secret_value()
        return
    if Durability.of(settings.durability).replicas:
        raise ConfigurationError(
            f"STRATA_DURABILITY {settings.durability!r} asks for replicas, and the embedded Redis "
            "has none: name yours with STRATA_REDIS_URL."
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
async def open_outside(settings: Settings, store: RedisStore) -> AsyncGenerator[Outside | None]:
    """The vector database of the settings, closed in the end; None where there is none."""
    if settings.vector_store is None:
        yield None
        return
    url, key = settings.vector_store_url, settings.vector_store_key
    outside = Outside(open_collections(settings.vector_store, url, key), store)
    try:
        yield outside
    finally:
        await outside.close()


def tongue_of(language: str) -> Tongue:
    """The analysis of texts in a language.

    Raises:
        ConfigurationError: there is no stemmer for it.
    """
    try:
        return Tongue.of(language)
    except KeyError as error:
        raise ConfigurationError(
            f"STRATA_LANGUAGE {language!r}: Snowball has no such stemmer."
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
