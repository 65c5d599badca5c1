"""Opens the chat model: any that LangChain supports, or the offline model."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from onionskin.chains.models.offline import OfflineChatModel
from onionskin.memory.errors import ConfigurationError
from onionskin.memory.http_limits import response_limit_hooks

DEFAULT_OPENAI_MODEL = "gpt-5-mini"


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Name, address and limits of the chat model.

    Attributes:
        name: An `init_chat_model` string such as `anthropic:claude-...`, a bare model name for
            `base_url`, or `offline`. None for OpenAI if a key is set, otherwise offline.
        base_url: URL of an OpenAI-compatible server (Ollama, vLLM, LiteLLM).
        timeout: Time limit per model call.
        retries: Retries by the model's client.
    """

    name: str | None = None
    base_url: str | None = None
    api_key: SecretStr | None = None
    timeout: timedelta = timedelta(seconds=60)
    retries: int = 2

    @property
    def is_offline(self) -> bool:
        """Whether the offline model answers: it is named, or no model, address or key is set."""
        return self.name == "offline" or not (self.name or self.base_url or self.api_key)

    @property
    def chosen(self) -> str:
        """The name of the model that answers."""
        return "offline" if self.is_offline else self.name or DEFAULT_OPENAI_MODEL


@asynccontextmanager
async def open_model(options: ModelOptions) -> AsyncGenerator[BaseChatModel]:
    """The chat model of the options; its connections are closed on exit.

    Raises:
        ConfigurationError: The model does not exist, or its package or key is missing.
    """
    name = options.name
    if options.is_offline:
        yield OfflineChatModel()
    elif options.base_url or not name or (name.startswith("openai:") and options.api_key):
        async with _openai_compatible(options) as model:
            yield model
    else:
        yield _by_name(options, name)


@asynccontextmanager
async def _openai_compatible(options: ModelOptions) -> AsyncGenerator[BaseChatModel]:
    # The import takes a second, and other models do not need it.
    from onionskin.chains.models.openai import FastChatOpenAI, with_transport  # noqa: PLC0415 - slow
    from onionskin.chains.models.openai_transport import FirstAttemptClient  # noqa: PLC0415 - slow

    async with FirstAttemptClient(event_hooks=response_limit_hooks()) as client:
        model = FastChatOpenAI(
            model=options.chosen.removeprefix("openai:"),
            api_key=options.api_key or SecretStr("none"),
            base_url=options.base_url,
            timeout=options.timeout.total_seconds(),
            max_retries=options.retries,
            stream_usage=True,
            http_async_client=client,
        )
        async with with_transport(model, str(model.root_async_client.base_url)) as fast_model:
            yield fast_model


def _by_name(options: ModelOptions, name: str) -> BaseChatModel:
    from langchain.chat_models import init_chat_model  # noqa: PLC0415 - slow to import

    try:
        return init_chat_model(
            name, timeout=options.timeout.total_seconds(), max_retries=options.retries
        )
    except Exception as error:  # each provider's package has its own errors
        raise ConfigurationError(
            f"ONIONSKIN_MODEL {name!r} cannot be used: {error} "
            "Write it as provider:model, and install the provider's LangChain package."
        ) from error
