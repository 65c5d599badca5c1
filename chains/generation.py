"""Calls of the chat model: limited in time, errors translated, answers checked, calls observed."""

import asyncio
import time
from collections import abc
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig

from onionskin.chains.errors import ModelError, translate_provider_error
from onionskin.chains.observers import (
    ContentHidingObserver,
    ModelCall,
    NullObserver,
    TurnObserver,
)

T = TypeVar("T")
StructuredRunnable: TypeAlias = Runnable[list[BaseMessage], dict[str, Any]]
"""What `with_structured_output(..., include_raw=True)` returns: `raw` and `parsed`."""
LONGEST_ANSWER = 1 << 18
"""In characters: more than models write. A longer answer would slow down every later turn.

The service raises it to the longest message that it accepts: a model can repeat what it was sent.
"""
_NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})
_UNPARSED = ("LengthFinishReasonError", "ContentFilterFinishReasonError", "ValidationError")
"""Errors of SDKs for an answer that came, but incomplete or not in the requested form."""


class CompletionModel(Protocol):
    """A chat model as `Generator` calls it; `TimedModel`, or a wrapper around one."""

    @property
    def chat_model(self) -> BaseChatModel:
        """The innermost model."""
        ...

    async def generate(
        self,
        prompt: Sequence[BaseMessage],
        config: RunnableConfig | None,
        options: Mapping[str, Any],
    ) -> AIMessage:
        """The whole answer; raises `ModelError`."""
        ...

    def stream(
        self,
        prompt: Sequence[BaseMessage],
        config: RunnableConfig | None,
        options: Mapping[str, Any],
    ) -> AsyncGenerator[AIMessageChunk]:
        """The answer in pieces; raises `ModelError`."""
        ...

    async def generate_structured(
        self, runnable: StructuredRunnable, prompt: Sequence[BaseMessage]
    ) -> dict[str, Any] | None:
        """The answer of `runnable`, made of `chat_model`; None if it cannot be parsed."""
        ...


class TimedModel:
    """A chat model with a time limit, whose errors are `ModelError`s.

    Args:
        chat_model: The model.
        timeout: Time limit per call; for a stream, per piece.
        longest_answer: Limit in characters.
    """

    def __init__(
        self,
        chat_model: BaseChatModel,
        timeout: timedelta = timedelta(seconds=60),
        *,
        longest_answer: int = LONGEST_ANSWER,
    ) -> None:
        self.chat_model, self._seconds = chat_model, timeout.total_seconds()
        self._longest_answer = longest_answer

    async def generate(
        self,
        prompt: Sequence[BaseMessage],
        config: RunnableConfig | None,
        options: Mapping[str, Any],
    ) -> AIMessage:
        """The whole answer.

        Raises:
            ModelTimeoutError: It exceeded the time limit.
            ModelError: The model failed.
        """
        return await self._limited(self.chat_model.ainvoke(prompt, config, **options))

    async def stream(
        self,
        prompt: Sequence[BaseMessage],
        config: RunnableConfig | None,
        options: Mapping[str, Any],
    ) -> AsyncGenerator[AIMessageChunk]:
        """The answer in pieces.

        Raises:
            ModelTimeoutError: A piece exceeded the time limit.
            ModelError: The model failed, broke off, answered nothing or too much.
        """
        pieces = self.chat_model.astream(prompt, config, **options)
        length, is_empty, is_openai, is_finished = 0, True, False, False
        while (piece := await self._limited(anext(pieces, None))) is not None:
            text = str(piece.text)
            length += len(text)
            _check_length(length, self._longest_answer)
            is_empty = is_empty and not (
                text.strip() or piece.tool_call_chunks or piece.additional_kwargs.get("refusal")
            )
            metadata = piece.response_metadata
            is_openai = is_openai or metadata.get("model_provider") == "openai"
            is_finished = is_finished or bool(metadata.get("finish_reason"))
            yield piece
        if is_empty:
            raise _empty_answer()
        # Nothing else shows that an OpenAI stream ended early on a cleanly closed connection.
        if is_openai and not is_finished:
            raise ModelError("The chat model broke off mid-answer. Try again.")

    async def generate_structured(
        self, runnable: StructuredRunnable, prompt: Sequence[BaseMessage]
    ) -> dict[str, Any] | None:
        """The message as `raw` and its data as `parsed`; None if the SDK could not parse it.

        Raises:
            ModelTimeoutError: It exceeded the time limit.
            ModelError: The model failed.
        """
        try:
            return await self._limited(runnable.ainvoke(list(prompt)))
        except ModelError as error:
            if type(error.__cause__).__name__ in _UNPARSED:
                return None
            raise

    async def _limited(self, call: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._seconds):
                return await call
        except Exception as error:  # every provider has errors of its own
            raise translate_provider_error(error) from error


@dataclass(frozen=True, slots=True)
class CallPurpose:
    """The reason of a model call.

    Attributes:
        name: `answer`, `fold`, `job`, ...: a label of metrics, so of few values.
        session_id: The session of the call, if it has one.
        hides_content: Whether observers see neither prompt nor answer.
    """

    name: str = "answer"
    session_id: str = ""
    hides_content: bool = False


class Generator:
    """Generates answers, and reports each call of the model to an observer.

    Args:
        model: The model, with its wrappers.
        observer: Observes the calls.
        longest_answer: Limit in characters.
    """

    def __init__(
        self,
        model: CompletionModel,
        observer: TurnObserver | None = None,
        *,
        longest_answer: int = LONGEST_ANSWER,
    ) -> None:
        self._model, self.observer = model, observer or NullObserver()
        self._longest_answer = longest_answer

    @property
    def chat_model(self) -> BaseChatModel:
        """The innermost model."""
        return self._model.chat_model

    async def generate(
        self,
        prompt: Sequence[BaseMessage],
        purpose: CallPurpose,
        *,
        config: RunnableConfig | None = None,
        options: Mapping[str, Any] = _NO_OPTIONS,
    ) -> AIMessage:
        """The model's whole answer.

        Args:
            prompt: The messages for the model.
            purpose: The reason of the call.
            config: The run's config.
            options: Further arguments of the call, such as `tools`.

        Raises:
            ModelTimeoutError: The model exceeded its time limit.
            ModelUnavailableError: The model is not called for a while.
            ModelError: It failed, answered nothing, or too much.
        """
        with self._observed(purpose, prompt, options) as call:
            call.message = message = await self._model.generate(prompt, config, options)
            text = str(message.text)
            if not (text.strip() or _has_other_content(message)):
                raise _empty_answer()
            _check_length(len(text), self._longest_answer)
        return message

    async def stream(
        self,
        prompt: Sequence[BaseMessage],
        purpose: CallPurpose,
        *,
        config: RunnableConfig | None = None,
        options: Mapping[str, Any] = _NO_OPTIONS,
    ) -> AsyncGenerator[AIMessageChunk]:
        """The model's answer in pieces; the time limit applies to each.

        Raises:
            ModelError: As `generate`; or the model broke off before its answer was complete.
        """
        started = time.perf_counter()
        with self._observed(purpose, prompt, options, streams=True) as call:
            whole: AIMessageChunk | None = None
            async with aclosing(self._model.stream(prompt, config, options)) as pieces:
                async for piece in pieces:
                    if whole is None:
                        call.first_piece_seconds = time.perf_counter() - started
                    call.message = whole = piece if whole is None else whole + piece
                    yield piece

    async def generate_structured(
        self, runnable: StructuredRunnable, prompt: Sequence[BaseMessage], purpose: CallPurpose
    ) -> dict[str, Any] | None:
        """The answer of a runnable made of `chat_model`; None if it cannot be parsed.

        Raises:
            ModelError: As `generate`.
        """
        with self._observed(purpose, prompt) as call:
            answer = await self._model.generate_structured(runnable, prompt)
            call.message = answer["raw"] if answer else None
        return answer

    @contextmanager
    def _observed(
        self,
        purpose: CallPurpose,
        prompt: Sequence[BaseMessage],
        options: Mapping[str, Any] = _NO_OPTIONS,
        *,
        streams: bool = False,
    ) -> abc.Generator[ModelCall]:
        call = ModelCall(
            purpose.name, self._model.chat_model, prompt, purpose.session_id, streams, options
        )
        hides = purpose.hides_content
        observer = ContentHidingObserver(self.observer) if hides else self.observer
        with observer.model_call(call):
            yield call


def _check_length(characters: int, longest_answer: int) -> None:
    if characters > longest_answer:
        raise ModelError(
            f"The chat model answered more than {longest_answer} characters. "
            "Ask for less, or limit the model's output.",
            outage=False,
        )


def _has_other_content(message: AIMessage) -> bool:
    """Whether a message without text calls tools or refuses."""
    calls = message.tool_calls or message.invalid_tool_calls
    return bool(calls or message.additional_kwargs.get("refusal"))


def _empty_answer() -> ModelError:
    return ModelError("The chat model answered nothing. Try again.", outage=False)
