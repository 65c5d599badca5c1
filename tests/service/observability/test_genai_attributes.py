"""Names of providers in spans."""

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from onionskin.chains.models.offline import OfflineChatModel
from onionskin.chains.models.openai import FastChatOpenAI
from onionskin.service.observability.genai_attributes import provider_of

_KEY = SecretStr("none")


class _Gemini(OfflineChatModel):
    """A model of another package."""

    __module__ = "langchain_google_genai.chat_models"


@pytest.mark.parametrize(
    ("chat_model", "provider"),
    [
        (OfflineChatModel(), "onionskin"),
        (ChatOpenAI(model="m", api_key=_KEY), "openai"),
        (FastChatOpenAI(model="m", api_key=_KEY), "openai"),
        (_Gemini(), "gcp.gen_ai"),
    ],
    ids=["ours", "LangChain's", "our subclass of LangChain's", "a name of the conventions"],
)
def test_the_provider_is_named_after_the_package_of_the_model(
    chat_model: BaseChatModel, provider: str
) -> None:
    assert provider_of(chat_model) == provider
