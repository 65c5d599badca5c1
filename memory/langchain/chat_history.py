"""The transcript as LangChain's chat message history, as `RunnableWithMessageHistory` wants one.

`BaseChatMessageHistory` goes with langchain-core 2.0: nothing else of Onionskin's imports this module.
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
    """What a user and the assistant said in one session.

    Instructions, calls of tools and their results are no part of it. What is private or not to be
    stored of a message is left out, as the service leaves it out.

    Args:
        onionskin: where it is kept.
        user: whose session.
        session: its name, such as LangChain's `session_id`: any text.
    """

    def __init__(self, onionskin: Onionskin, user: User, session: str) -> None:
        self._session = ExternalSession(onionskin, user, session)
        self._portal, self._discretion = onionskin.event_loop, onionskin.privacy

    @property
    def messages(self) -> list[BaseMessage]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As `aget_messages`, from a thread without an event loop."""
        return self._portal.run_blocking(self.aget_messages())

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """As `aadd_messages`."""
        self._portal.run_blocking(self.aadd_messages(messages))

    def clear(self) -> None:
        """As `aclear`."""
        self._portal.run_blocking(self.aclear())

    async def aget_messages(self) -> list[BaseMessage]:
        """All messages of the session, oldest first."""
        return [_chat_message(one) for one in await self._portal.run(self._session.read())]

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Store what was said, at once and in order."""
        if kept := _kept(messages, self._discretion):
            await self._portal.run(self._session.append(kept))

    async def aclear(self) -> None:
        """Delete the session."""
        await self._portal.run(self._session.clear())


def _kept(messages: Sequence[BaseMessage], discretion: PrivacyPolicy) -> list[Message]:
    """What is stored of messages: of an answer, nothing of what was private in its question."""
    now = time.time()
    kept: list[Message] = []
    for before, message in pairwise((None, *messages)):
        text = str(message.text) if message else ""
        if isinstance(message, HumanMessage):
            kept.append(
                Message(
                    "user", discretion.prepare_message(text).for_storage, now, author=message.name
                )
            )
        elif isinstance(message, AIMessage):
            asked = (
                discretion.prepare_message(str(before.text))
                if isinstance(before, HumanMessage)
                else None
            )
            secrets = asked.private_texts if asked else ()
            kept.append(Message("assistant", discretion.answer_for_storage(text, secrets), now))
    return [one for one in kept if one.content.strip()]


def _chat_message(entry: Entry) -> BaseMessage:
    message = entry.message
    if message.role == "assistant":
        return AIMessage(message.content, id=entry.id)
    return HumanMessage(message.content, name=message.author, id=entry.id)
