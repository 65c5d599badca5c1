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

from onionskin.chains.callbacks import has_no_callbacks, without_callbacks
from onionskin.chains.context import memory_of
from onionskin.chains.generation import Generator
from onionskin.chains.observers import (
    NullObserver,
    StageEvent,
    TurnObserver,
    outcome_of,
    without_tracing,
)
from onionskin.chains.turn import TurnReply, TurnRequest, check_message, initial_reply
from onionskin.memory.combined import CombinedMemory
from onionskin.memory.langchain.event_loop_thread import EventLoopThread
from onionskin.memory.layers.base import RecallResult
from onionskin.memory.session_lock import InterruptedTurnError, SessionLock
from onionskin.memory.types.tasks import RecordUsageTask, Task


class WaitingRunnable(Runnable[TurnRequest, TurnReply]):
    """A chain that is asynchronous, for programs that are not.

    Args:
        portal: the way to the event loop, where there is one for threads that have none.
    """

    def __init__(self, portal: EventLoopThread | None) -> None:
        self._portal = portal

    def invoke(
        self,
        input: TurnRequest,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> TurnReply:
        """As `ainvoke`; `batch` likewise.

        Raises:
            TypeError: the chain was made without a portal.
        """
        return self._way().run_blocking(self.ainvoke(input, config, **kwargs))

    def stream(
        self,
        input: TurnRequest,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[TurnReply]:
        """As `astream`.

        Raises:
            TypeError: the chain was made without a portal.
        """
        return self._way().iterate(self.astream(input, config, **kwargs))

    def _way(self) -> EventLoopThread:
        if self._portal is None:
            raise TypeError(
                "This chain is asynchronous: `await chain.ainvoke(...)`, or give it a portal."
            )
        return self._portal


@asynccontextmanager
async def given_up_on_failure(
    memory: CombinedMemory, recollection: RecallResult, observer: TurnObserver
) -> AsyncGenerator[None]:
    """The session is free for the next turn, however this one ends."""
    try:
        yield
    except BaseException as error:
        outcome = outcome_of(error)
        if outcome != InterruptedTurnError.code:
            observer.turn(memory.name, outcome, ())
        await memory.release(recollection)
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
        after: Callable[[Task], None] | None = None,
        observer: TurnObserver | None = None,
        clock: Callable[[], float] = time.time,
        portal: EventLoopThread | None = None,
    ) -> None:
        super().__init__(portal)
        self._memories, self._default = memories, default_profile
        self._longest_message, self._after, self._clock = longest_message, after, clock
        self._observer = observer or NullObserver()
        self._thinking = Generator(model, within, self._observer)
        self._memory_of(None)

    async def ainvoke(
        self,
        input: TurnRequest,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> TurnReply:
        """The whole answer, once it is stored.

        Raises:
            OnionskinError: see `onionskin.chains.errors` and `onionskin.memory.errors`; nothing was stored.
        """
        turn = self._prepared(input)
        if turn.has_private_text:
            return await self._whole(turn, None, without_tracing(config))
        if has_no_callbacks(config):
            return await self._whole(turn, None, without_callbacks(config))
        return await self._acall_with_config(self._whole, turn, config, **kwargs)

    async def astream(
        self,
        input: TurnRequest,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[TurnReply]:
        """The answer in pieces: first session and sections, then text, last the `turn_id`.

        A consumer that goes away before the last piece leaves nothing stored.

        Raises:
            OnionskinError: as `ainvoke`.
        """
        turn = self._prepared(input)

        async def only() -> AsyncIterator[TurnRequest]:
            yield turn

        pieces = (
            self._pieces(only(), None, without_tracing(config))
            if turn.has_private_text
            else self._atransform_stream_with_config(only(), self._pieces, config, **kwargs)
        )
        async with aclosing(cast("AsyncGenerator[TurnReply]", pieces)):
            async for piece in pieces:
                yield piece

    def withholds(self, turn: TurnRequest) -> bool:
        """Whether the answer to a turn is stored with something taken out of it, and only so.

        Raises:
            OnionskinError: it is no turn that can be answered.
        """
        return (
            self._prepared(turn).has_private_text or self._memory_of(turn.profile).privacy.redacts
        )

    async def _whole(
        self,
        turn: TurnRequest,
        run_manager: AsyncCallbackManagerForChainRun | None,
        config: RunnableConfig,
    ) -> TurnReply:
        del run_manager  # named so that LangChain hands over the config of a child run
        memory = self._memory_of(turn.profile)
        recollection = await self._recall(memory, turn)
        async with given_up_on_failure(memory, recollection, self._observer):
            async with memory.keep_lock(recollection) as watch:
                message = await watch.run_guarded(
                    self._thinking.answer(turn, recollection, config, memory.privacy)
                )
            if message is None:
                await self._remember(memory, recollection, UNANSWERED, turn, interrupted=True)
                raise InterruptedTurnError(
                    "A newer message on this session stopped this turn before it had an answer."
                )
            usage = message.usage_metadata
            beginning = replace(initial_reply(recollection), usage=usage, message=message)
            if message.tool_calls:  # the turn goes on once the client has called them
                await memory.release(recollection)
                return replace(beginning, reply=str(message.text))
            text = str(message.text)
            return beginning + await self._remember(memory, recollection, text, turn, usage=usage)

    async def _pieces(
        self,
        turns: AsyncIterator[TurnRequest],
        run_manager: AsyncCallbackManagerForChainRun | None,
        config: RunnableConfig,
    ) -> AsyncIterator[TurnReply]:
        del run_manager
        async for turn in turns:
            memory = self._memory_of(turn.profile)
            recollection = await self._recall(memory, turn)
            async with given_up_on_failure(memory, recollection, self._observer):
                yield initial_reply(recollection)
                said: list[str] = []
                pieces = self._thinking.answer_stream(turn, recollection, config, memory.privacy)
                calls, usage = False, None
                async with aclosing(pieces), memory.keep_lock(recollection) as watch:
                    while piece := await watch.run_guarded(anext(pieces, None)):
                        text = str(piece.text)
                        said.append(text)
                        calls = calls or bool(piece.tool_call_chunks)
                        usage = piece.usage_metadata or usage
                        telling = piece.tool_call_chunks or piece.response_metadata
                        message = piece if telling else None
                        if text or telling or piece.usage_metadata:
                            yield TurnReply(reply=text, usage=piece.usage_metadata, message=message)
                if calls:
                    await memory.release(recollection)
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

    async def _recall(self, memory: CombinedMemory, turn: TurnRequest) -> RecallResult:
        stage = StageEvent("recall", turn.message)
        with self._observer.stage(stage):
            stage.recall = await memory.recall(
                turn.user,
                turn.message,
                session_id=turn.session_id,
                now=self._clock(),
                lock=SessionLock.new(turn.on_conflict or memory.on_conflict),
                new_session=turn.new_session,
                excluded_sessions=turn.excluded_sessions,
            )
        return stage.recall

    async def _remember(
        self,
        memory: CombinedMemory,
        recollection: RecallResult,
        reply: str,
        turn: TurnRequest,
        *,
        interrupted: bool = False,
        usage: UsageMetadata | None = None,
    ) -> TurnReply:
        kept = memory.privacy.answer_for_storage(
            reply, turn.prepared.private_texts if turn.prepared else ()
        )
        with self._observer.stage(StageEvent("remember", turn.message, recollection)):
            committed = await memory.remember(
                recollection, kept, at=self._clock(), interrupted=interrupted, nonce=turn.nonce
            )
        outcome = "interrupted" if interrupted else "stored"
        self._observer.turn(memory.name, outcome, recollection.sections)
        if self._after:
            tokens = usage["total_tokens"] if usage else 0
            self._after(RecordUsageTask(turn.user, committed.turn_id, tokens))
            for due in memory.plan_tasks(recollection, kept):
                self._after(due)
        return TurnReply(reply=reply, turn_id=committed.turn_id, interrupted=interrupted)

    def _prepared(self, turn: TurnRequest) -> TurnRequest:
        """The turn with what is made of its message, which nothing but the prompt sees whole."""
        check_message(turn.message, self._longest_message)
        said = self._memory_of(turn.profile).privacy.prepare_message(turn.message)
        check_message(said.for_model, self._longest_message)
        return replace(turn, message=said.for_storage, prepared=said)

    def _memory_of(self, profile: str | None) -> CombinedMemory:
        return memory_of(self._memories, self._default if profile is None else profile)
