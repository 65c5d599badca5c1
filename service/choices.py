"""From settings to what they name: a Redis, a chat model, a language."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from chains.models import ModelOptions
from memory.errors import ConfigurationError
from memory.recall.tongue import Tongue
from memory.store.embedded import EmbeddedRedis
from service.settings import Settings


@asynccontextmanager
async def open_redis(settings: Settings) -> AsyncGenerator[str]:
    """The URL of the Redis that the settings name, or of an embedded one for as long."""
    if settings.redis_url:
        yield settings.redis_url.get_secret_value()
        return
    async with EmbeddedRedis(settings.data_dir) as redis:
        yield redis.url


def model_options(settings: Settings) -> ModelOptions:
    """Which chat model the settings name, and how it is reached."""
    return ModelOptions(
        name=settings.model,
        base_url=settings.model_base_url,
        api_key=settings.openai_api_key,
        timeout=settings.model_timeout,
        retries=settings.model_retries,
    )


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
