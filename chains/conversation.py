"""ConversationChain: one chat turn as a LangChain Runnable: recall, generate, remember."""

import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing, asynccontextmanager, nullcontext
from dataclasses import replace
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForChainRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.runnables import Runnable, RunnableConfig

from onionskin.chains.callbacks import (
    has_no_callbacks,
    tracing_disabled,
    without_callbacks,
    without_tracing,
)
from onionskin.chains.client_prompt import build_client_prompt
from onionskin.chains.generation import CallPurpose, Generator, TimedModel
from onionskin.chains.observers import StageEvent, outcome_of
from onionskin.chains.prompt import build_prompt, redact_prompt
from onionskin.chains.turn import (
    PreparedTurn,
    TurnReply,
    TurnRequest,
    initial_reply,
    memory_of,
    prepare_turn,
    with_prefill,
)
from onionskin.memory.combined import CombinedMemory
from onionskin.memory.langchain.event_loop_thread import EventLoopThread
from onionskin.memory.layers.base import RecallResult
from onionskin.memory.session_lock import InterruptedTurnError, SessionLock
from onionskin.memory.types.tasks import RecordUsageTask, Task

UNANSWERED = "(interrupted before it was answered)"


class ConversationChain(Runnable[TurnRequest, TurnReply]):
    """Answers a message with the user's memory and stores both, under any memory profile.

    Config and callbacks reach the chat model, so a trace shows the chain and its model call.

    Args:
        memories: The profiles, by name.
        model: The chat model; or a generator, with its own time limit, circuit breaker and
            observer. That observer also sees stages and ends of turns.
        default_profile: Profile of a turn that names none.
        longest_message: Limit in characters.
        on_task: Called with each background task that a stored turn makes due; must not block.
        clock: Seconds since the epoch.
        event_loop: The event loop for `invoke` and `stream`; None for asynchronous use alone.

    Raises:
        UnknownProfileError: `default_profile` is not among `memories`.
    """

    def __init__(
        self,
        memories: Mapping[str, CombinedMemory],
        model: BaseChatModel | Generator,
        *,
        default_profile: str = "layered",
        longest_message: int = 32_768,
        on_task: Callable[[Task], None] | None = None,
        clock: Callable[[], float] = time.time,
        event_loop: EventLoopThread | None = None,
    ) -> None:
        memory_of(memories, default_profile)
        self._memories, self._default = memories, default_profile
        self._longest_message, self._on_task, self._clock = longest_message, on_task, clock
        self._event_loop = event_loop
        is_generator = isinstance(model, Generator)
        self._generator = model if is_generator else Generator(TimedModel(model))
        self._observer = self._generator.observer

    def prepare(self, request: TurnRequest) -> PreparedTurn:
        """The request, validated and redacted; the other methods take it in its place.

        Raises:
            OnionskinError: The request is not a valid turn.
        """
        return prepare_turn(
            request,
            self._memories,
            default_profile=self._default,
            longest_message=self._longest_message,
        )

    def invoke(
        self,
        input: TurnRequest | PreparedTurn,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> TurnReply:
        """As `ainvoke`; `batch` likewise.

        Raises:
            TypeError: The chain has no event loop.
        """
        return self._loop().run_blocking(self.ainvoke(input, config, **kwargs))

    def stream(
        self,
        input: TurnRequest | PreparedTurn,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[TurnReply]:
        """As `astream`.

        Raises:
            TypeError: The chain has no event loop.
        """
        return self._loop().iterate(self.astream(input, config, **kwargs))

    async def ainvoke(
        self,
        input: TurnRequest | PreparedTurn,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> TurnReply:
        """The whole answer, once it is stored.

        Raises:
            OnionskinError: See `onionskin.chains.errors` and `onionskin.memory.errors`; nothing
                was stored.
        """
        turn = input if isinstance(input, PreparedTurn) else self.prepare(input)
        if turn.has_private_text:
            return await self._answer(turn, without_tracing(config))
        if has_no_callbacks(config):
            return await self._answer(turn, without_callbacks(config))

        async def answer(
            _: TurnRequest, run_manager: AsyncCallbackManagerForChainRun, config: RunnableConfig
        ) -> TurnReply:
            del run_manager  # LangChain passes a child run's config only together with it
            return await self._answer(turn, config)

        return await self._acall_with_config(answer, turn.request, config, **kwargs)

    async def astream(
        self,
        input: TurnRequest | PreparedTurn,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[TurnReply]:
        """The answer in pieces: first session and sections, then text, last the `turn_id`.

        If the consumer closes the stream before the last piece, nothing is stored.

        Raises:
            OnionskinError: As `ainvoke`.
        """
        turn = input if isinstance(input, PreparedTurn) else self.prepare(input)
        if turn.has_private_text:
            pieces = self._answer_stream(turn, without_tracing(config))
        else:
            pieces = self._traced_stream(turn, config, **kwargs)
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece

    def _traced_stream(
        self, turn: PreparedTurn, config: RunnableConfig | None, **kwargs: Any
    ) -> AsyncGenerator[TurnReply]:
        async def turns() -> AsyncIterator[TurnRequest]:
            yield turn.request

        def answer(
            _: AsyncIterator[TurnRequest],
            run_manager: AsyncCallbackManagerForChainRun,
            config: RunnableConfig,
        ) -> AsyncIterator[TurnReply]:
            del run_manager  # as in `ainvoke`
            return self._answer_stream(turn, config)

        pieces = self._atransform_stream_with_config(turns(), answer, config, **kwargs)
        return cast("AsyncGenerator[TurnReply]", pieces)

    async def _answer(self, turn: PreparedTurn, config: RunnableConfig) -> TurnReply:
        memory = self._memories[turn.profile]
        recalled = await self._recall(memory, turn)
        async with self._released_on_error(memory, recalled):
            prompt = self._prompt(memory, turn, recalled)
            purpose, options = _purpose(turn, recalled), turn.request.instructions.options
            async with memory.keep_lock(recalled) as lock:
                with _tracing_context(turn):
                    message = await lock.run_guarded(
                        self._generator.generate(prompt, purpose, config=config, options=options)
                    )
            if message is None:
                await self._remember(memory, turn, recalled, UNANSWERED, interrupted=True)
                raise InterruptedTurnError(
                    "A newer message on this session interrupted this turn before its answer."
                )
            usage, text = message.usage_metadata, str(message.text)
            first = initial_reply(recalled, is_stored=turn.request.is_stored)
            reply = replace(first, reply=text, usage=usage, message=message)
            if message.tool_calls:  # the client calls the tools, and sends another request
                await memory.release(recalled)
                return reply
            stored = await self._remember(memory, turn, recalled, text, usage=usage)
            return replace(reply, turn_id=stored.turn_id)

    async def _answer_stream(
        self, turn: PreparedTurn, config: RunnableConfig
    ) -> AsyncGenerator[TurnReply]:
        memory = self._memories[turn.profile]
        recalled = await self._recall(memory, turn)
        async with self._released_on_error(memory, recalled):
            yield initial_reply(recalled, is_stored=turn.request.is_stored)
            prompt = self._prompt(memory, turn, recalled)
            purpose, options = _purpose(turn, recalled), turn.request.instructions.options
            chunks = self._generator.stream(prompt, purpose, config=config, options=options)
            texts: list[str] = []
            calls_tools, usage = False, None
            async with aclosing(chunks), memory.keep_lock(recalled) as lock:
                while True:
                    with _tracing_context(turn):
                        chunk = await lock.run_guarded(anext(chunks, None))
                    if chunk is None:
                        break
                    text = str(chunk.text)
                    texts.append(text)
                    calls_tools = calls_tools or bool(chunk.tool_call_chunks)
                    usage = chunk.usage_metadata or usage
                    has_metadata = chunk.tool_call_chunks or chunk.response_metadata
                    message = chunk if has_metadata else None
                    if text or has_metadata or chunk.usage_metadata:
                        yield TurnReply(reply=text, usage=chunk.usage_metadata, message=message)
            if calls_tools:
                await memory.release(recalled)
                return
            reply, interrupted = "".join(texts) or UNANSWERED, lock.interrupted
            stored = await self._remember(
                memory, turn, recalled, reply, interrupted=interrupted, usage=usage
            )
            yield replace(stored, reply="")

    async def _recall(self, memory: CombinedMemory, turn: PreparedTurn) -> RecallResult:
        request = turn.request
        stage = StageEvent("recall", request.message)
        with self._observer.stage(stage):
            stage.recall = await memory.recall(
                request.user,
                request.message,
                session_id=request.session_id,
                now=self._clock(),
                lock=SessionLock.new(request.on_conflict or memory.on_conflict)
                if request.is_stored
                else None,
                new_session=request.new_session,
                excluded_sessions=request.excluded_sessions,
                zones=request.zones,
                new_session_id=request.new_session_id,
                shown_from=request.shown_from,
                replaces_from=request.replaces_from,
            )
        return stage.recall

    def _prompt(
        self, memory: CombinedMemory, turn: PreparedTurn, recalled: RecallResult
    ) -> Sequence[BaseMessage]:
        with self._observer.stage(StageEvent("prompt", turn.request.message, recalled)):
            instructions, text = turn.request.instructions, turn.message.for_model
            if instructions.conversation:
                return build_client_prompt(recalled, instructions.conversation, memory.privacy)
            return redact_prompt(build_prompt(recalled, instructions, text=text), memory.privacy)

    async def _remember(
        self,
        memory: CombinedMemory,
        turn: PreparedTurn,
        recalled: RecallResult,
        reply: str,
        *,
        interrupted: bool = False,
        usage: UsageMetadata | None = None,
    ) -> TurnReply:
        request = turn.request
        if not request.is_stored:
            self._observer.turn(memory.name, "temporary", recalled.sections)
            self._record_usage(request, secrets.token_hex(16), usage)
            return TurnReply(reply=reply, interrupted=interrupted)
        stored = with_prefill(request.instructions, reply)
        answer = memory.privacy.answer_for_storage(stored, turn.message.private_texts)
        with self._observer.stage(StageEvent("remember", request.message, recalled)):
            committed = await memory.remember(
                recalled, answer, at=self._clock(), interrupted=interrupted, nonce=request.nonce
            )
        outcome = "interrupted" if interrupted else "stored"
        self._observer.turn(memory.name, outcome, recalled.sections)
        self._record_usage(request, committed.turn_id, usage)
        if self._on_task:
            hooks = memory.plan_hooks(request.user, committed)
            for task in (*memory.plan_tasks(recalled, answer), *hooks):
                self._on_task(task)
        return TurnReply(reply=reply, turn_id=committed.turn_id, interrupted=interrupted)

    def _record_usage(
        self, request: TurnRequest, turn_id: str, usage: UsageMetadata | None
    ) -> None:
        if self._on_task:
            tokens = usage["total_tokens"] if usage else 0
            self._on_task(RecordUsageTask(request.user, turn_id, tokens))

    @asynccontextmanager
    async def _released_on_error(
        self, memory: CombinedMemory, recalled: RecallResult
    ) -> AsyncGenerator[None]:
        """Reports a turn that fails or is cancelled, and releases its session lock."""
        try:
            yield
        except BaseException as error:
            outcome = outcome_of(error)
            if outcome != InterruptedTurnError.code:  # `_remember` reported that one
                self._observer.turn(memory.name, outcome, ())
            await memory.release(recalled)
            raise

    def _loop(self) -> EventLoopThread:
        if self._event_loop is None:
            raise TypeError(
                "This chain is asynchronous: use `await chain.ainvoke(...)`, or pass `event_loop`."
            )
        return self._event_loop


def _purpose(turn: PreparedTurn, recalled: RecallResult) -> CallPurpose:
    session_id = recalled.turn.snapshot.session.id
    return CallPurpose("answer", session_id, hides_content=turn.has_private_text)


def _tracing_context(turn: PreparedTurn) -> AbstractContextManager[None]:
    """A context for each wait for the model; a stream must not hold it across its pieces."""
    return tracing_disabled() if turn.has_private_text else nullcontext()
