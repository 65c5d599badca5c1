"""Calling a chat model: bounded in time, its failures translated, its answer checked.

The middle of a turn: from what was recalled to a prompt, and from the prompt to an answer.
"""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.runnables import RunnableConfig

from onionskin.chains.errors import ModelError, ModelTimeoutError, ModelUnavailableError
from onionskin.chains.observers import (
    CallPurpose,
    ContentHidingObserver,
    StageEvent,
    TurnObserver,
    redact_prompt,
    tracing_disabled,
)
from onionskin.chains.prompt import build_prompt
from onionskin.chains.turn import TurnRequest
from onionskin.memory.layers.base import RecallResult
from onionskin.memory.privacy.policy import PrivacyPolicy

T = TypeVar("T")
_NONE: Mapping[str, Any] = MappingProxyType({})
_ANSWER = CallPurpose()
LONGEST_ANSWER = 1 << 18
"""In characters: more than models write. A longer one would weigh on every turn after it."""
_BUSY, _SERVER_ERROR = (429, 503), 500
_LONGEST_WAIT = timedelta(minutes=1)


async def answer(
    model: BaseChatModel,
    prompt: Sequence[BaseMessage],
    config: RunnableConfig | None = None,
    *,
    within: timedelta,
    options: Mapping[str, Any] = _NONE,
    purpose: CallPurpose = _ANSWER,
) -> AIMessage:
    """The model's whole answer.

    Args:
        model: the model.
        prompt: what it is shown.
        config: of the run.
        within: how long it may take.
        options: further arguments of the call, such as `tools`.
        purpose: what it is for, and who is told of it.

    Raises:
        ModelTimeoutError: it took longer than `within`.
        ModelError: it failed, or answered nothing, or more than `LONGEST_ANSWER`.
    """
    call = purpose.call(model, prompt, options)
    with purpose.observer.model_call(call), purpose.around():
        message = await answer_within(model.ainvoke(prompt, config, **options), within)
        call.message = message
        if not str(message.text).strip() and not message.tool_calls:
            raise _nothing()
        _check_length(len(str(message.text)))
    return message


async def answer_within(call: Awaitable[T], within: timedelta) -> T:
    """What a call of a model comes to.

    Raises:
        ModelTimeoutError: it took longer than `within`.
        ModelError: it failed.
    """
    try:
        async with asyncio.timeout(within.total_seconds()):
            return await call
    except Exception as error:  # every provider has errors of its own
        raise translate_provider_error(error) from error


async def answer_stream(
    model: BaseChatModel,
    prompt: Sequence[BaseMessage],
    config: RunnableConfig | None = None,
    *,
    within: timedelta,
    options: Mapping[str, Any] = _NONE,
    purpose: CallPurpose = _ANSWER,
) -> AsyncGenerator[AIMessageChunk]:
    """The model's answer as it comes; the time limit holds for each piece.

    Raises:
        ModelTimeoutError: a piece took longer than `within`.
        ModelError: it failed, broke off without saying that it was done, or answered nothing, or
            more than `LONGEST_ANSWER`.
    """
    call, began = purpose.call(model, prompt, options, streams=True), time.perf_counter()
    with purpose.observer.model_call(call):
        whole: AIMessageChunk | None = None
        length, pieces = 0, model.astream(prompt, config, **options)
        try:
            while True:
                async with asyncio.timeout(within.total_seconds()):
                    with purpose.around():
                        piece = await anext(pieces, None)
                if piece is None:
                    break
                if whole is None:
                    call.first_piece_seconds = time.perf_counter() - began
                call.message = whole = piece if whole is None else whole + piece
                length += len(str(piece.text))
                _check_length(length)
                yield piece
        except ModelError:
            raise
        except Exception as error:  # every provider has errors of its own
            raise translate_provider_error(error) from error
        _check_whole(whole)


def _check_length(characters: int) -> None:
    if characters > LONGEST_ANSWER:
        raise ModelError(
            f"The chat model answered more than {LONGEST_ANSWER} characters; the turn was not "
            "stored. Ask for less, or give the model a bound of its own.",
            outage=False,
        )


def _check_whole(whole: AIMessageChunk | None) -> None:
    if whole is None or not (str(whole.text).strip() or whole.tool_call_chunks):
        raise _nothing()
    # An OpenAI stream that was cut off cleanly shows it by nothing but this.
    metadata = whole.response_metadata
    if metadata.get("model_provider") == "openai" and not metadata.get("finish_reason"):
        raise ModelError("The chat model broke off mid-answer; the turn was not stored. Try again.")


def _nothing() -> ModelError:
    told = "The chat model answered nothing; the turn was not stored. Try again."
    return ModelError(told, outage=False)


def translate_provider_error(error: Exception) -> ModelError:
    """The error of any provider as one of ours; its text may hold prompts and keys, so it goes."""
    if isinstance(error, ModelError):
        return error
    kinds = [kind.__name__ for kind in type(error).__mro__]
    if any("Timeout" in kind for kind in kinds):
        return ModelTimeoutError(
            "The chat model took too long; the turn was not stored. Try again."
        )
    status = getattr(error, "status_code", None)
    retry_after = _retry_after(error) if status in _BUSY else None
    if retry_after is not None:
        return ModelUnavailableError(retry_after)
    # Whoever answers that a request is wrong is there, and may like the next one.
    refused = isinstance(status, int) and status < _SERVER_ERROR and status not in _BUSY
    return ModelError(
        f"The chat model failed ({type(error).__name__}); the turn was not stored. "
        "Try again; if it stays so, check ONIONSKIN_MODEL and its key.",
        outage=not refused,
    )


def _retry_after(error: Exception) -> timedelta | None:
    """When the provider says to come back, in seconds, and bounded; a date is not read."""
    headers: Any = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return min(timedelta(seconds=seconds), _LONGEST_WAIT) if 0 < seconds < math.inf else None


class Generator:
    """Asks the chat model, for turns.

    Args:
        model: the chat model.
        within: how long it may take, or may take for a piece of a stream.
        observer: told of prompts and calls.
    """

    def __init__(self, model: BaseChatModel, within: timedelta, observer: TurnObserver) -> None:
        self._model, self._within, self._observer = model, within, observer

    async def answer(
        self,
        turn: TurnRequest,
        recollection: RecallResult,
        config: RunnableConfig,
        discretion: PrivacyPolicy,
    ) -> AIMessage:
        """The whole answer; raises as `onionskin.chains.generation.answer`."""
        return await answer(
            self._model,
            self._prompt(turn, recollection, discretion),
            config,
            within=self._within,
            options=turn.instructions.options,
            purpose=self._purpose(turn, recollection),
        )

    def answer_stream(
        self,
        turn: TurnRequest,
        recollection: RecallResult,
        config: RunnableConfig,
        discretion: PrivacyPolicy,
    ) -> AsyncGenerator[AIMessageChunk]:
        """The answer as it comes; raises as `onionskin.chains.generation.answer_stream`."""
        return answer_stream(
            self._model,
            self._prompt(turn, recollection, discretion),
            config,
            within=self._within,
            options=turn.instructions.options,
            purpose=self._purpose(turn, recollection),
        )

    def _prompt(
        self, turn: TurnRequest, recollection: RecallResult, discretion: PrivacyPolicy
    ) -> Sequence[BaseMessage]:
        with self._observer.stage(StageEvent("prompt", turn.message, recollection)):
            seen = turn.prepared.for_model if turn.prepared else turn.message
            return redact_prompt(
                build_prompt(recollection, turn.instructions, seen=seen), discretion
            )

    def _purpose(self, turn: TurnRequest, recollection: RecallResult) -> CallPurpose:
        session_id = recollection.turn.snapshot.session.id
        if turn.has_private_text:
            return CallPurpose(
                "answer", ContentHidingObserver(self._observer), session_id, tracing_disabled
            )
        return CallPurpose("answer", self._observer, session_id)
