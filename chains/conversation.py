"""ConversationChain: one chat turn as a LangChain Runnable: recall, generate, remember."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing, nullcontext
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForChainRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig

from onionskin.chains.answers import (
    answer_of,
    refusal_of,
    results_before,
    rounds_of,
    rounds_without_private,
    stored_results,
)
from onionskin.chains.callbacks import (
    has_no_callbacks,
    tracing_disabled,
    without_callbacks,
    without_tracing,
)
from onionskin.chains.client_prompt import build_client_prompt
from onionskin.chains.errors import ModelError
from onionskin.chains.generation import CallPurpose, Generator, TimedModel
from onionskin.chains.observers import StageEvent
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
from onionskin.chains.turn_storage import TurnStorage
from onionskin.memory.answer_markup import AnswerFilter, visible_answer
from onionskin.memory.combined import CombinedMemory
from onionskin.memory.langchain.event_loop_thread import EventLoopThread
from onionskin.memory.layers.base import RecallResult
from onionskin.memory.session_lock import InterruptedTurnError, SessionLock
from onionskin.memory.types.messages import Answer
from onionskin.memory.types.tasks import Task


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
            ModelError: The model failed; the user's message is stored, unanswered.
            OnionskinError: See `onionskin.memory.errors`; nothing was stored.
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

        If the consumer closes the stream before the last piece, the user's message is stored with
        the beginning of the answer, marked `interrupted`.

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
        storage, instructions = self._storage(turn, recalled), turn.request.instructions
        async with storage.kept_on_error():
            prompt = self._prompt(memory, turn, recalled)
            purpose, options = _purpose(turn, recalled), instructions.options
            async with memory.keep_lock(recalled) as lock:
                with _tracing_context(turn):
                    message = await lock.run_guarded(
                        self._generator.generate(prompt, purpose, config=config, options=options)
                    )
            if message is None:
                await storage.store(None)
                raise InterruptedTurnError(
                    "A newer message on this session interrupted this turn before its answer."
                )
            usage, text = message.usage_metadata, str(message.text)
            answer = _answered(turn, answer_of(text, message, instructions))
            shown = text if turn.request.keeps_markup else visible_answer(text)
            first = initial_reply(recalled, is_stored=turn.request.is_stored)
            reply = replace(first, reply=shown or refusal_of(message), usage=usage, message=message)
            stored = await storage.store(answer, usage=usage)
            return replace(reply, turn_id=stored.turn_id)

    async def _answer_stream(
        self, turn: PreparedTurn, config: RunnableConfig
    ) -> AsyncGenerator[TurnReply]:
        memory = self._memories[turn.profile]
        recalled = await self._recall(memory, turn)
        storage, instructions = self._storage(turn, recalled), turn.request.instructions
        async with storage.kept_on_error():
            yield initial_reply(recalled, is_stored=turn.request.is_stored)
            prompt = self._prompt(memory, turn, recalled)
            purpose, options = _purpose(turn, recalled), instructions.options
            chunks = self._generator.stream(prompt, purpose, config=config, options=options)
            texts, special, usage = storage.texts, list[AIMessageChunk](), None
            markup = None if turn.request.keeps_markup else AnswerFilter()
            async with aclosing(chunks), memory.keep_lock(recalled) as lock:
                while True:
                    with _tracing_context(turn):
                        chunk = await lock.run_guarded(anext(chunks, None))
                    if chunk is None:
                        break
                    text = str(chunk.text)
                    texts.append(text)
                    if chunk.tool_call_chunks or chunk.additional_kwargs:
                        special.append(chunk)
                    usage = chunk.usage_metadata or usage
                    has_metadata = chunk.tool_call_chunks or chunk.response_metadata
                    message = chunk if has_metadata or chunk.additional_kwargs else None
                    shown = markup.feed(text) if markup else text
                    if shown or message or chunk.usage_metadata:
                        shown = shown or refusal_of(chunk)
                        yield TurnReply(reply=shown, usage=chunk.usage_metadata, message=message)
            if markup and (rest := markup.finish()):
                yield TurnReply(reply=rest)
            text, whole = "".join(texts), reduce(add, special) if special else None
            if lock.interrupted:
                beginning = visible_answer(with_prefill(instructions, text)) if text else ""
                answer = Answer(beginning, interrupted=True) if beginning.strip() else None
            else:
                answer = _answered(turn, answer_of(text, whole, instructions))
            stored = await storage.store(answer, usage=usage)
            yield replace(stored, reply="")

    def _storage(self, turn: PreparedTurn, recalled: RecallResult) -> TurnStorage:
        memory = self._memories[turn.profile]
        return TurnStorage(memory, turn, recalled, self._observer, self._clock, self._on_task)

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
                earlier=request.earlier_messages,
                metadata=request.metadata,
                **_tool_parts(turn, memory),
            )
        return stage.recall

    def _prompt(
        self, memory: CombinedMemory, turn: PreparedTurn, recalled: RecallResult
    ) -> Sequence[BaseMessage]:
        with self._observer.stage(StageEvent("prompt", turn.request.message, recalled)):
            instructions, text = turn.request.instructions, turn.message.for_model
            if instructions.conversation:
                return build_client_prompt(recalled, instructions.conversation, memory.privacy)
            return redact_prompt(
                build_prompt(recalled, instructions, text=text, earlier=turn.earlier),
                memory.privacy,
            )

    def _loop(self) -> EventLoopThread:
        if self._event_loop is None:
            raise TypeError(
                "This chain is asynchronous: use `await chain.ainvoke(...)`, or pass `event_loop`."
            )
        return self._event_loop


def _answered(turn: PreparedTurn, answer: Answer) -> Answer | None:
    """The answer; None for one of reasoning alone, if the client gets that as it is.

    Raises:
        ModelError: The answer consists of reasoning alone, which the client does not get.
    """
    if answer.text.strip() or answer.calls:
        return answer
    if turn.request.keeps_markup:
        return None
    raise ModelError(
        "The chat model answered nothing but its reasoning. Try again, or let it write more.",
        outage=False,
    )


def _tool_parts(turn: PreparedTurn, memory: CombinedMemory) -> dict[str, Any]:
    """The calls and results of tools that the client sent with the message, as they are stored."""
    conversation = turn.request.instructions.conversation
    if conversation is None:
        return {}
    rounds, privacy = rounds_of(conversation.after), memory.privacy
    return {
        "rounds": rounds_without_private(rounds, privacy, turn.message.private_texts),
        "results": stored_results(results_before(conversation.before), privacy),
    }


def _purpose(turn: PreparedTurn, recalled: RecallResult) -> CallPurpose:
    session_id = recalled.turn.snapshot.session.id
    return CallPurpose("answer", session_id, hides_content=turn.has_private_text)


def _tracing_context(turn: PreparedTurn) -> AbstractContextManager[None]:
    """A context for each wait for the model; a stream must not hold it across its pieces."""
    return tracing_disabled() if turn.has_private_text else nullcontext()
