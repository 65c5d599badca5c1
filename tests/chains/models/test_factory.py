"""The chat model that the options select, and the error for an unknown one."""

import pytest
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from onionskin.chains.models.factory import DEFAULT_OPENAI_MODEL, ModelOptions, open_model
from onionskin.chains.models.offline import OfflineChatModel
from onionskin.memory.errors import ConfigurationError

_KEY = SecretStr("sk-test")


async def test_nothing_configured_is_the_offline_model() -> None:
    for options in (ModelOptions(), ModelOptions(name="offline", api_key=_KEY)):
        async with open_model(options) as model:
            assert isinstance(model, OfflineChatModel)


@pytest.mark.parametrize(
    ("options", "name", "base_url"),
    [
        (ModelOptions(api_key=_KEY), DEFAULT_OPENAI_MODEL, None),
        (ModelOptions("openai:gpt-x", api_key=_KEY), "gpt-x", None),
        (
            ModelOptions("llama3", "http://localhost:11434/v1"),
            "llama3",
            "http://localhost:11434/v1",
        ),
        (ModelOptions("openai:x", "http://localhost:1/v1"), "x", "http://localhost:1/v1"),
    ],
)
async def test_openai_and_compatible_servers(
    options: ModelOptions, name: str, base_url: str | None
) -> None:
    async with open_model(options) as model:
        assert isinstance(model, ChatOpenAI)
        assert model.model_name == name
        assert model.openai_api_base == base_url


async def test_any_string_of_init_chat_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    async with open_model(ModelOptions("openai:gpt-y")) as model:
        assert isinstance(model, ChatOpenAI)
        assert model.model_name == "gpt-y"


@pytest.mark.parametrize("name", ["nonsense", "anthropic:claude-x", "no_such_provider:x"])
async def test_the_error_names_a_model_that_cannot_be_opened(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        async with open_model(ModelOptions(name)):
            pass
