"""What the settings say to those who know no settings."""

from chains.models import ModelOptions
from memory.errors import ConfigurationError
from memory.recall.embedder import EmbedderOptions
from memory.recall.tongue import Tongue
from service.settings import Settings


def embedder_options(settings: Settings) -> EmbedderOptions:
    """How a remote embedder is reached."""
    return EmbedderOptions(settings.openai_api_key, settings.embedder_base_url)


def model_options(settings: Settings) -> ModelOptions:
    """Which chat model the settings name, and how it is reached."""
    return ModelOptions(
        name=settings.model,
        base_url=settings.model_base_url,
        api_key=settings.openai_api_key,
        timeout=settings.model_timeout,
        retries=settings.model_retries,
    )


def tongue_of(settings: Settings) -> Tongue:
    """The language of lexical recall.

    Raises:
        ConfigurationError: there is no such stemmer.
    """
    try:
        return Tongue.of(settings.language)
    except KeyError as error:
        raise ConfigurationError(
            f"STRATA_LANGUAGE {settings.language!r}: Snowball has no such stemmer."
        ) from error
