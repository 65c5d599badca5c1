"""A session as LangChain's chat message history, for `RunnableWithMessageHistory`.

langchain-core 2.0 removes `BaseChatMessageHistory`, so no other module imports this one.
"""

import time
from collections.abc import Sequence

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage

from onionskin.memory.langchain.client import Onionskin
from onionskin.memory.langchain.message_conversion import stored_messages, to_langchain
from onionskin.memory.langchain.named_sessions import ExternalSession
from onionskin.memory.types.messages import User


class OnionskinHistory(BaseChatMessageHistory):
    """The messages of a user and the assistant in one session.

    Tool calls and results are stored as parts of the answers. System messages, and human messages
    that middleware wrote, are not stored. Private text, redacted data and the reasoning of a model
    are removed as in the service.

    Args:
        onionskin: The open memory.
        user: Owner of the session.
        session: Name of the session, such as LangChain's `session_id`; any text.
    """

    def __init__(self, onionskin: Onionskin, user: User, session: str) -> None:
        self._session = ExternalSession(onionskin, user, session)
        self._event_loop, self._privacy = onionskin.event_loop, onionskin.privacy
        self._private_texts: list[str] = []

    @property
    def messages(self) -> list[BaseMessage]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As `aget_messages`, from a thread without an event loop."""
        return self._event_loop.run_blocking(self.aget_messages())

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """As `aadd_messages`."""
        self._event_loop.run_blocking(self.aadd_messages(messages))

    def clear(self) -> None:
        """As `aclear`."""
        self._event_loop.run_blocking(self.aclear())

    async def aget_messages(self) -> list[BaseMessage]:
        """All messages of the session, oldest first."""
        return list(to_langchain(await self._event_loop.run(self._session.read())))

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Store messages in one commit, in order."""
        stored = stored_messages(
            messages, self._privacy, at=time.time(), private_texts=self._private_texts
        )
        if stored:
            await self._event_loop.run(self._session.append(stored))

    async def aclear(self) -> None:
        """Delete the session."""
        await self._event_loop.run(self._session.clear())
