"""The offline model in LangChain's standard suites for chat models."""

from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from onionskin.chains.models.offline import OfflineChatModel


class TestUnit(ChatModelUnitTests):
    """The unit tests."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return OfflineChatModel

    @property
    def has_tool_calling(self) -> bool:
        return False  # it accepts tools, and calls none


class TestIntegration(ChatModelIntegrationTests):
    """The integration tests, without tools and images."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return OfflineChatModel

    @property
    def has_tool_calling(self) -> bool:
        return False  # it accepts tools, and calls none
