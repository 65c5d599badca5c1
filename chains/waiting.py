"""The synchronous face of the chain: each call waits for the asynchronous one."""

from collections.abc import Iterator
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig

from chains.turn import ChatReply, ChatTurn
from memory.langchain.portal import Portal


class WaitingRunnable(Runnable[ChatTurn, ChatReply]):
    """A chain that is asynchronous, for programs that are not.

    Args:
        portal: the way to the event loop, where there is one for threads that have none.
    """

    def __init__(self, portal: Portal | None) -> None:
        self._portal = portal

    def invoke(
        self,
        input: ChatTurn,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> ChatReply:
        """As `ainvoke`; `batch` likewise.

        Raises:
            TypeError: the chain was made without a portal.
        """
        return self._way().wait(self.ainvoke(input, config, **kwargs))

    def stream(
        self,
        input: ChatTurn,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatReply]:
        """As `astream`.

        Raises:
            TypeError: the chain was made without a portal.
        """
        return self._way().iterate(self.astream(input, config, **kwargs))

    def _way(self) -> Portal:
        if self._portal is None:
            raise TypeError(
                "This chain is asynchronous: `await chain.ainvoke(...)`, or give it a portal."
            )
        return self._portal
