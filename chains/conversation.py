"""ConversationChain: one turn as a LangChain Runnable. Recall, think, remember.

The synchronous face of the chain: each call waits for the asynchronous one.

A turn that ends without an answer lets the next one have its session.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForChainRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages.ai import UsageMetadata
from langchain_core.runnables import Runnable, RunnableConfig

from onionskin.chains.callbacks import is_unheard, quiet
from onionskin.chains.context import memory_of
from onionskin.chains.generation import Thinking
from onionskin.chains.observers import Observer, Stage, Unobserved, outcome_of, untraced
from onionskin.chains.turn import ChatReply, ChatTurn, beginning_of, check_message
from onionskin.memory.combined import CombinedMemory
from onionskin.memory.langchain.event_loop_thread import Portal
from onionskin.memory.layers.base import Recollection
from onionskin.memory.session_lock import Hold, InterruptedTurnError
from onionskin.memory.types.tasks import Due, SpendDue


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


@asynccontextmanager
async def given_up_on_failure(
    memory: CombinedMemory, recollection: Recollection, observer: Observer
) -> AsyncGenerator[None]:
    """The session is free for the next turn, however this one ends."""
    try:
        yield
    except BaseException as error:
        outcome = outcome_of(error)
        if outcome != InterruptedTurnError.code:
            observer.turn(memory.name, outcome, ())
        await memory.give_up(recollection)
        raise


UNANSWERED = "(interrupted before it was answered)"


class ConversationChain(WaitingRunnable):
    """One turn from message to stored answer, under any memory profile.

    Config and callbacks reach the chat model, so tracing shows the chain and its model call.

    Args:
        memories: the profiles, by name.
        model: the chat model.
        default_profile: the profile of a turn that names none.
        within: how long the model may take, or may take for a piece of a stream.
        longest_message: in characters.
        after: told of what is due after each turn; must not block.
        observer: told how turns go.
        clock: seconds since the epoch.
        portal: the way to the event loop for threads that have none.
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
        observer: Observer | None = None,
        clock: Callable[[], float] = time.time,
        portal: Portal | None = None,
    ) -> None:
        super().__init__(portal)
        self._memories, self._default = memories, default_profile
        self._longest_message, self._after, self._clock = longest_message, after, clock
        self._observer = observer or Unobserved()
        self._thinking = Thinking(model, within, self._observer)
        self._memory_of(None)

    async def ainvoke(
        self,
        input: ChatTurn,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> ChatReply:
        """The whole answer, once it is stored.

        Raises:
            OnionskinError: see `onionskin.chains.errors` and `onionskin.memory.errors`; nothing was stored.
        """
        turn = self._prepared(input)
        if turn.is_withheld:
            return await self._whole(turn, None, untraced(config))
        if is_unheard(config):
            return await self._whole(turn, None, quiet(config))
        return await self._acall_with_config(self._whole, turn, config, **kwargs)

    async def astream(
        self,
        input: ChatTurn,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatReply]:
        """The answer in pieces: first session and sections, then text, last the `turn_id`.

        A consumer that goes away before the last piece leaves nothing stored.

        Raises:
            OnionskinError: as `ainvoke`.
        """
        turn = self._prepared(input)

        async def only() -> AsyncIterator[ChatTurn]:
            yield turn

        pieces = (
            self._pieces(only(), None, untraced(config))
            if turn.is_withheld
            else self._atransform_stream_with_config(only(), self._pieces, config, **kwargs)
        )
        async with aclosing(cast("AsyncGenerator[ChatReply]", pieces)):
            async for piece in pieces:
                yield piece

    def withholds(self, turn: ChatTurn) -> bool:
        """Whether the answer to a turn is stored with something taken out of it, and only so.

        Raises:
            OnionskinError: it is no turn that can be answered.
        """
        return self._prepared(turn).is_withheld or self._memory_of(turn.profile).discretion.redacts

    async def _whole(
        self,
        turn: ChatTurn,
        run_manager: AsyncCallbackManagerForChainRun | None,
        config: RunnableConfig,
    ) -> ChatReply:
        del run_manager  # named so that LangChain hands over the config of a child run
        memory = self._memory_of(turn.profile)
        recollection = await self._recall(memory, turn)
        async with given_up_on_failure(memory, recollection, self._observer):
            async with memory.watch(recollection) as watch:
                message = await watch.guard(
                    self._thinking.answer(turn, recollection, config, memory.discretion)
                )
            if message is None:
                await self._remember(memory, recollection, UNANSWERED, turn, interrupted=True)
                raise InterruptedTurnError(
                    "A newer message on this session stopped this turn before it had an answer."
                )
            usage = message.usage_metadata
            beginning = replace(beginning_of(recollection), usage=usage, message=message)
            if message.tool_calls:  # the turn goes on once the client has called them
                await memory.give_up(recollection)
                return replace(beginning, reply=str(message.text))
            text = str(message.text)
            return beginning + await self._remember(memory, recollection, text, turn, usage=usage)

    async def _pieces(
        self,
        turns: AsyncIterator[ChatTurn],
        run_manager: AsyncCallbackManagerForChainRun | None,
        config: RunnableConfig,
    ) -> AsyncIterator[ChatReply]:
        del run_manager
        async for turn in turns:
            memory = self._memory_of(turn.profile)
            recollection = await self._recall(memory, turn)
            async with given_up_on_failure(memory, recollection, self._observer):
                yield beginning_of(recollection)
                said: list[str] = []
                pieces = self._thinking.answer_stream(turn, recollection, config, memory.discretion)
                calls, usage = False, None
                async with aclosing(pieces), memory.watch(recollection) as watch:
                    while piece := await watch.guard(anext(pieces, None)):
                        text = str(piece.text)
                        said.append(text)
                        calls = calls or bool(piece.tool_call_chunks)
                        usage = piece.usage_metadata or usage
                        telling = piece.tool_call_chunks or piece.response_metadata
                        message = piece if telling else None
                        if text or telling or piece.usage_metadata:
                            yield ChatReply(reply=text, usage=piece.usage_metadata, message=message)
                if calls:
                    await memory.give_up(recollection)
                    return
                reply = "".join(said) or UNANSWERED
                stored = await self._remember(
                    memory,
                    recollection,
                    reply,
                    turn,
                    interrupted=watch.interrupted,
                    usage=usage,
                )
                yield replace(stored, reply="")

    async def _recall(self, memory: CombinedMemory, turn: ChatTurn) -> Recollection:
        stage = Stage("recall", turn.message)
        with self._observer.stage(stage):
            stage.recollection = await memory.recall(
                turn.user,
                turn.message,
                session_id=turn.session_id,
                now=self._clock(),
                hold=Hold.of(turn.on_conflict or memory.on_conflict),
                fresh=turn.fresh,
                apart=turn.apart_from,
            )
        return stage.recollection

    async def _remember(
        self,
        memory: CombinedMemory,
        recollection: Recollection,
        reply: str,
        turn: ChatTurn,
        *,
        interrupted: bool = False,
        usage: UsageMetadata | None = None,
    ) -> ChatReply:
        kept = memory.discretion.answered(reply, turn.said.secrets if turn.said else ())
        with self._observer.stage(Stage("remember", turn.message, recollection)):
            committed = await memory.remember(
                recollection, kept, at=self._clock(), interrupted=interrupted, nonce=turn.nonce
            )
        outcome = "interrupted" if interrupted else "stored"
        self._observer.turn(memory.name, outcome, recollection.sections)
        if self._after:
            tokens = usage["total_tokens"] if usage else 0
            self._after(SpendDue(turn.user, committed.turn_id, tokens))
            for due in memory.due(recollection, kept):
                self._after(due)
        return ChatReply(reply=reply, turn_id=committed.turn_id, interrupted=interrupted)

    def _prepared(self, turn: ChatTurn) -> ChatTurn:
        """The turn with what is made of its message, which nothing but the prompt sees whole."""
        check_message(turn.message, self._longest_message)
        said = self._memory_of(turn.profile).discretion.said(turn.message)
        check_message(said.seen, self._longest_message)
        return replace(turn, message=said.kept, said=said)

    def _memory_of(self, profile: str | None) -> CombinedMemory:
        return memory_of(self._memories, self._default if profile is None else profile)
