"""Observers of turns and model calls. What they see may contain message texts."""

import asyncio
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, TypeAlias

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage

from onionskin.memory.errors import OnionskinError
from onionskin.memory.layers.base import RecallResult
from onionskin.memory.types.snapshot import Section

StageName: TypeAlias = Literal["recall", "prompt", "remember"]


@dataclass(slots=True)
class StageEvent:
    """A stage of a turn; its result is set while the stage runs.

    Attributes:
        text: The user's message, as it is stored.
        recall: What the turn recalled, once that is known.
    """

    name: StageName
    text: str = ""
    recall: RecallResult | None = None


@dataclass(slots=True)
class ModelCall:
    """A call of a chat model; its results are set while the call runs.

    Attributes:
        purpose: `answer`, `fold`, ...; see `CallPurpose`.
        session_id: The session of the call, if it has one.
        streams: Whether the model answers in pieces.
        options: Further arguments of the call.
        message: The answer, as far as it arrived.
        first_piece_seconds: Time to the first piece of a stream.
    """

    purpose: str
    model: BaseChatModel
    prompt: Sequence[BaseMessage]
    session_id: str = ""
    streams: bool = False
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    message: AIMessage | None = None
    first_piece_seconds: float | None = None


class TurnObserver(Protocol):
    """Observes turns and model calls through context managers around them."""

    def stage(self, stage: StageEvent) -> AbstractContextManager[object]:
        """A context around a stage of a turn."""
        ...

    def model_call(self, call: ModelCall) -> AbstractContextManager[object]:
        """A context around a call of the model, over all pieces of a stream."""
        ...

    def turn(self, profile: str, outcome: str, sections: Sequence[Section]) -> None:
        """A turn ended: `stored`, `interrupted`, `cancelled`, or an error's code."""
        ...


class NullObserver:
    """Ignores everything."""

    def stage(self, stage: StageEvent) -> AbstractContextManager[object]:
        """An empty context."""
        del stage
        return nullcontext()

    def model_call(self, call: ModelCall) -> AbstractContextManager[object]:
        """An empty context."""
        del call
        return nullcontext()

    def turn(self, profile: str, outcome: str, sections: Sequence[Section]) -> None:
        """Does nothing."""


class CompositeObserver:
    """Several observers as one.

    Args:
        observers: The observers, outermost first.
    """

    def __init__(self, *observers: TurnObserver) -> None:
        self._observers = observers

    @contextmanager
    def stage(self, stage: StageEvent) -> Generator[None]:
        """The contexts of all observers around a stage."""
        with ExitStack() as stack:
            for observer in self._observers:
                stack.enter_context(observer.stage(stage))
            yield

    @contextmanager
    def model_call(self, call: ModelCall) -> Generator[None]:
        """The contexts of all observers around a call."""
        with ExitStack() as stack:
            for observer in self._observers:
                stack.enter_context(observer.model_call(call))
            yield

    def turn(self, profile: str, outcome: str, sections: Sequence[Section]) -> None:
        """Reports the end of a turn to all observers."""
        for observer in self._observers:
            observer.turn(profile, outcome, sections)


class ContentHidingObserver:
    """Passes model calls on without prompt and answer; tokens and metadata remain.

    Args:
        inner: The observer that must not see the content.
    """

    def __init__(self, inner: TurnObserver) -> None:
        self._inner = inner

    def stage(self, stage: StageEvent) -> AbstractContextManager[object]:
        """The inner observer's context: a stage has the stored text only."""
        return self._inner.stage(stage)

    @contextmanager
    def model_call(self, call: ModelCall) -> Generator[None]:
        """The inner observer's context around a call without its content."""
        hidden = replace(call, prompt=())
        with self._inner.model_call(hidden):
            try:
                yield
            finally:
                hidden.message = _without_content(call.message)
                hidden.first_piece_seconds = call.first_piece_seconds

    def turn(self, profile: str, outcome: str, sections: Sequence[Section]) -> None:
        """Reports the end of a turn."""
        self._inner.turn(profile, outcome, sections)


def _without_content(message: AIMessage | None) -> AIMessage | None:
    if message is None:
        return None
    metadata = message.response_metadata
    return AIMessage("", usage_metadata=message.usage_metadata, response_metadata=metadata)


def outcome_of(error: BaseException) -> str:
    """The label of an outcome that ended in `error`: `cancelled`, an error's code, or `failed`."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return "cancelled"
    return error.code if isinstance(error, OnionskinError) else "failed"
