"""ConversationChain: one turn as a LangChain Runnable. Recall, think, remember."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForChainRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.runnables import Runnable, RunnableConfig

from chains.answering import answer, answer_stream
from chains.prompt import build_prompt
from memory.combined import CombinedMemory, Recollection
from memory.due import Due
from memory.errors import InvalidInputError, MessageTooLongError, UnknownProfileError
from memory.types import Section, User


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """What a user says.

    Attributes:
        session_id: the session to go on with; None for the latest, or a new one.
        profile: the memory profile; None for the chain's default.
    """

    user: User
    message: str
    session_id: str | None = None
    profile: str | None = None


@dataclass(frozen=True, slots=True)
class ChatReply:
    """The answer to a turn, or a piece of it: pieces add up to the whole.

    Attributes:
        turn_id: set once the turn is stored, and never before.
        sections: what each layer put into the prompt.
        degraded: what could not be used for this turn, by name.
    """

    reply: str = ""
    session_id: str = ""
    turn_id: str = ""
    profile: str = ""
    is_new_session: bool = False
    usage: UsageMetadata | None = None
    sections: tuple[Section, ...] = ()
    degraded: tuple[str, ...] = ()

    def __add__(self, other: "ChatReply") -> "ChatReply":
        return ChatReply(
            reply=self.reply + other.reply,
            session_id=other.session_id or self.session_id,
            turn_id=other.turn_id or self.turn_id,
            profile=other.profile or self.profile,
            is_new_session=self.is_new_session or other.is_new_session,
            usage=add_usage(self.usage, other.usage) if self.usage or other.usage else None,
            sections=other.sections or self.sections,
            degraded=other.degraded or self.degraded,
        )


class ConversationChain(Runnable[ChatTurn, ChatReply]):
    """One turn from message to stored answer, under any memory profile.

    Config and callbacks reach the chat model, so tracing shows the chain and its model call.

    Args:
        memories: the profiles, by name.
        model: the chat model.
        default_profile: the profile of a turn that names none.
        within: how long the model may take, or may take for a piece of a stream.
        longest_message: in characters.
        after: told of what is due after each turn; must not block.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        memories: Mapping[str, CombinedMemory],
        model: BaseChatModel,
        *,
        default_profile: str = "layered",
        within: timedelta = timedelta(seconds=60),
        longest_message: int = 32_768,
        after: Callable[[Due], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._memories, self._model, self._default = memories, model, default_profile
        self._within, self._longest_message = within, longest_message
        self._after, self._clock = after, clock
        self._memory_of(None)

    def invoke(
        self,
        input: ChatTurn,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> ChatReply:
        """Not offered: memory is reached over the network.

        Raises:
            TypeError: always.
        """
        del input, config, kwargs
        raise TypeError("ConversationChain is asynchronous: use `await chain.ainvoke(...)`.")

    async def ainvoke(
        self,
        input: ChatTurn,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> ChatReply:
        """The whole answer, once it is stored.

        Raises:
            StrataError: see `chains.errors` and `memory.errors`; nothing was stored.
        """
        return await self._acall_with_config(self._whole, input, config, **kwargs)

    async def astream(
        self,
        input: ChatTurn,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatReply]:
        """The answer in pieces: first session and sections, then text, last the `turn_id`.

        A consumer that goes away before the last piece leaves nothing stored.

        Raises:
            StrataError: as `ainvoke`.
        """

        async def only() -> AsyncIterator[ChatTurn]:
            yield input

        pieces = self._atransform_stream_with_config(only(), self._pieces, config, **kwargs)
        async for piece in pieces:
            yield piece

    async def _whole(
        self, turn: ChatTurn, run_manager: AsyncCallbackManagerForChainRun, config: RunnableConfig
    ) -> ChatReply:
        del run_manager  # named so that LangChain hands over the config of a child run
        memory = self._memory_of(turn.profile)
        recollection = await self._recall(memory, turn)
        message = await answer(self._model, build_prompt(recollection), config, within=self._within)
        beginning = replace(_beginning(recollection), usage=message.usage_metadata)
        return beginning + await self._remember(memory, recollection, str(message.text))

    async def _pieces(
        self,
        turns: AsyncIterator[ChatTurn],
        run_manager: AsyncCallbackManagerForChainRun,
        config: RunnableConfig,
    ) -> AsyncIterator[ChatReply]:
        del run_manager
        async for turn in turns:
            memory = self._memory_of(turn.profile)
            recollection = await self._recall(memory, turn)
            yield _beginning(recollection)
            said: list[str] = []
            prompt = build_prompt(recollection)
            async for piece in answer_stream(self._model, prompt, config, within=self._within):
                text = str(piece.text)
                said.append(text)
                if text or piece.usage_metadata:
                    yield ChatReply(reply=text, usage=piece.usage_metadata)
            stored = await self._remember(memory, recollection, "".join(said))
            yield replace(stored, reply="")

    async def _recall(self, memory: CombinedMemory, turn: ChatTurn) -> Recollection:
        self._check(turn.message)
        return await memory.recall(
            turn.user, turn.message, session_id=turn.session_id, now=self._clock()
        )

    async def _remember(
        self, memory: CombinedMemory, recollection: Recollection, reply: str
    ) -> ChatReply:
        committed = await memory.remember(recollection, reply, at=self._clock())
        if self._after:
            for due in memory.due(recollection, reply):
                self._after(due)
        return ChatReply(reply=reply, turn_id=committed.turn_id)

    def _check(self, message: str) -> None:
        if not message.strip():
            raise InvalidInputError("The message is empty. Say something.")
        if "\0" in message:
            raise InvalidInputError("The message holds a NUL character. Take it out.")
        if len(message) > self._longest_message:
            raise MessageTooLongError(
                f"The message has {len(message)} characters; {self._longest_message} are allowed. "
                "Send it in parts, or raise STRATA_LONGEST_MESSAGE."
            )

    def _memory_of(self, profile: str | None) -> CombinedMemory:
        name = self._default if profile is None else profile
        memory = self._memories.get(name)
        if memory is None:
            known = ", ".join(sorted(self._memories))
            raise UnknownProfileError(f"No memory profile {name!r}; there are: {known}.")
        return memory


def _beginning(recollection: Recollection) -> ChatReply:
    snapshot = recollection.turn.snapshot
    return ChatReply(
        session_id=snapshot.session.id,
        profile=recollection.profile,
        is_new_session=snapshot.is_new,
        sections=recollection.sections,
        degraded=recollection.degraded,
    )
