"""A session as LangChain's chat message history, for `RunnableWithMessageHistory`.

langchain-core 2.0 removes `BaseChatMessageHistory`, so no other module imports this one.
"""

import time
from collections.abc import Sequence
from itertools import pairwise

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from onionskin.memory.langchain.client import Onionskin
from onionskin.memory.langchain.named_sessions import ExternalSession
from onionskin.memory.privacy.policy import PrivacyPolicy
from onionskin.memory.types.messages import Entry, Message, User


class OnionskinHistory(BaseChatMessageHistory):
    """The messages of a user and the assistant in one session.

    System messages, tool calls and tool results are not stored. Private text and redacted data are
    removed as in the service.

    Args:
        onionskin: The open memory.
        user: Owner of the session.
        session: Name of the session, such as LangChain's `session_id`; any text.
    """

    def __init__(self, onionskin: Onionskin, user: User, session: str) -> None:
        self._session = ExternalSession(onionskin, user, session)
        self._event_loop, self._privacy = onionskin.event_loop, onionskin.privacy

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
        return [_chat_message(entry) for entry in await self._event_loop.run(self._session.read())]

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Store messages in one commit, in order."""
        if stored := _prepare(messages, self._privacy):
            await self._event_loop.run(self._session.append(stored))

    async def aclear(self) -> None:
        """Delete the session."""
        await self._event_loop.run(self._session.clear())


def _prepare(messages: Sequence[BaseMessage], privacy: PrivacyPolicy) -> list[Message]:
    """The messages as stored; an answer loses what it repeats of its question's private text."""
    now = time.time()
    stored: list[Message] = []
    for before, message in pairwise((None, *messages)):
        text = str(message.text) if message else ""
        if isinstance(message, HumanMessage):
            stored.append(
                Message("user", privacy.prepare_message(text).for_storage, now, author=message.name)
            )
        elif isinstance(message, AIMessage):
            question = (
                privacy.prepare_message(str(before.text))
                if isinstance(before, HumanMessage)
                else None
            )
            private_texts = question.private_texts if question else ()
            answer = privacy.answer_for_storage(text, private_texts)
            stored.append(Message("assistant", answer, now))
    return [message for message in stored if message.content.strip()]


def _chat_message(entry: Entry) -> BaseMessage:
    message = entry.message
    if message.role == "assistant":
        return AIMessage(message.content, id=entry.id)
    return HumanMessage(message.content, name=message.author, id=entry.id)
