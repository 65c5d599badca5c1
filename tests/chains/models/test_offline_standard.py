"""The offline model as LangChain's standard suites want a chat model."""

from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from onionskin.chains.models.offline import OfflineChatModel


class TestUnit(ChatModelUnitTests):
    """Without a network, as ever."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return OfflineChatModel

    @property
    def has_tool_calling(self) -> bool:
        return False  # it may be offered tools, and calls none


class TestIntegration(ChatModelIntegrationTests):
    """What is asked of a provider's model, as far as it is offered: no tools, no images."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return OfflineChatModel

    @property
    def has_tool_calling(self) -> bool:
        return False  # it may be offered tools, and calls none
