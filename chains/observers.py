"""Who wants to know how turns and model calls go. What is told may hold texts: observers beware.

What is shown to whom: to the model, and, where it sees more than anybody else may, to nobody.
"""

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, Protocol, TypeAlias, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableConfig
from langsmith import tracing_context  # pyright: ignore[reportUnknownVariableType]

from onionskin.memory.errors import OnionskinError
from onionskin.memory.layers.base import RecallResult
from onionskin.memory.privacy.policy import PrivacyPolicy
from onionskin.memory.types.snapshot import Section

_NONE: Mapping[str, Any] = MappingProxyType({})
StageName: TypeAlias = Literal["recall", "prompt", "remember"]


@dataclass(slots=True)
class StageEvent:
    """A stage of a turn; what came of it is noted on it while it is under way.

    Attributes:
        text: what the turn says.
        recollection: of the turn, once it is there.
    """

    name: StageName
    text: str = ""
    recall: RecallResult | None = None


@dataclass(slots=True)
class ModelCall:
    """A call of a chat model; what came of it is noted on it while it is under way.

    Attributes:
        purpose: what it is for: `answer`, `fold`, ...
        session_id: the session it is about, where it is about one.
        streams: whether it answers in pieces.
        options: further arguments of the call.
        message: the answer, as far as it came.
        first_piece_seconds: how long the first piece of a stream took.
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
    """Told of turns and of model calls, by standing around them."""

    def stage(self, stage: StageEvent) -> AbstractContextManager[object]:
        """Stands around a stage of a turn; `think` is the call of the model."""
        ...

    def model_call(self, call: ModelCall) -> AbstractContextManager[object]:
        """Stands around a call of the model, over all pieces of a stream; may refuse it."""
        ...

    def turn(self, profile: str, outcome: str, sections: Sequence[Section]) -> None:
        """A turn ended: `stored`, `interrupted`, `cancelled`, or an error's code."""
        ...


class NullObserver:
    """Nobody wants to know."""

    def stage(self, stage: StageEvent) -> AbstractContextManager[object]:
        """Nothing."""
        del stage
        return nullcontext()

    def model_call(self, call: ModelCall) -> AbstractContextManager[object]:
        """Nothing."""
        del call
        return nullcontext()

    def turn(self, profile: str, outcome: str, sections: Sequence[Section]) -> None:
        """Nothing."""


class CompositeObserver:
    """Several who want to know."""

    def __init__(self, *observers: TurnObserver) -> None:
        self._observers = observers

    def stage(self, stage: StageEvent) -> AbstractContextManager[object]:
        """All stand around it."""
        return _together([one.stage(stage) for one in self._observers])

    def model_call(self, call: ModelCall) -> AbstractContextManager[object]:
        """All stand around it."""
        return _together([one.model_call(call) for one in self._observers])

    def turn(self, profile: str, outcome: str, sections: Sequence[Section]) -> None:
        """All are told."""
        for one in self._observers:
            one.turn(profile, outcome, sections)


def _together(contexts: Sequence[AbstractContextManager[object]]) -> AbstractContextManager[object]:
    """All of them, entered in order; one that does something is handed on as it is."""
    busy = [one for one in contexts if not isinstance(one, nullcontext)]
    return busy[0] if len(busy) == 1 else _entered(busy)


@contextmanager
def _entered(contexts: Sequence[AbstractContextManager[object]]) -> Generator[None]:
    with ExitStack() as stack:
        for one in contexts:
            stack.enter_context(one)
        yield


@dataclass(frozen=True, slots=True)
class CallPurpose:
    """What the model is called for, and who is told of the calls.

    Attributes:
        name: `answer`, `fold`, `job`, ...: a label of figures, so of a few values.
        session_id: the session it is about, where it is about one.
        around: entered while the model works; for a stream, anew for each piece.
    """

    name: str = "answer"
    observer: TurnObserver = field(default_factory=NullObserver)
    session_id: str = ""
    around: Callable[[], AbstractContextManager[object]] = nullcontext

    def call(
        self,
        model: BaseChatModel,
        prompt: Sequence[BaseMessage],
        options: Mapping[str, Any] = _NONE,
        *,
        streams: bool = False,
    ) -> ModelCall:
        """A call for this purpose, to be handed to the observer's `model_call`."""
        return ModelCall(self.name, model, prompt, self.session_id, streams, options)


def outcome_of(error: BaseException) -> str:
    """How what ended in `error` is told: `cancelled`, an error's code, or `failed`."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return "cancelled"
    return error.code if isinstance(error, OnionskinError) else "failed"


def without_tracing(config: RunnableConfig | None) -> RunnableConfig:
    """A config without callbacks, neither its own nor those of a chain around it."""
    return {**(config or {}), "callbacks": []}


@contextmanager
def tracing_disabled() -> Generator[None]:
    """LangSmith, which its environment variables switch on, is told nothing here."""
    with tracing_context(enabled=False):
        yield


class ContentHidingObserver:
    """An observer that hears of a model call what it costs, and neither prompt nor answer.

    Args:
        inner: who is told.
    """

    def __init__(self, inner: TurnObserver) -> None:
        self._inner = inner

    def stage(self, stage: StageEvent) -> AbstractContextManager[object]:
        """Its text is what is kept: it may be told."""
        return self._inner.stage(stage)

    @contextmanager
    def model_call(self, call: ModelCall) -> Generator[None]:
        """Stands around a call of the model."""
        told = replace(call, prompt=())
        with self._inner.model_call(told):
            try:
                yield
            finally:
                told.message = _wordless(call.message)
                told.first_piece_seconds = call.first_piece_seconds

    def turn(self, profile: str, outcome: str, sections: Sequence[Section]) -> None:
        """A turn ended."""
        self._inner.turn(profile, outcome, sections)


def _wordless(message: AIMessage | None) -> AIMessage | None:
    if message is None:
        return None
    metadata = message.response_metadata
    return AIMessage("", usage_metadata=message.usage_metadata, response_metadata=metadata)


def redact_prompt(
    prompt: Sequence[BaseMessage], discretion: PrivacyPolicy
) -> Sequence[BaseMessage]:
    """A prompt as the policy lets the model see it: memories and instructions too."""
    if discretion.mode != "model":
        return prompt
    return [with_texts(message, discretion.for_model) for message in prompt]


def with_texts(message: BaseMessage, change: Callable[[str], str]) -> BaseMessage:
    """A message with its texts changed, its other parts as they were."""
    content: Any = message.content
    if isinstance(content, str):
        return message.model_copy(update={"content": change(content)})
    parts = cast("list[str | dict[str, Any]]", content)
    return message.model_copy(update={"content": [_part(one, change) for one in parts]})


def _part(part: str | dict[str, Any], change: Callable[[str], str]) -> str | dict[str, Any]:
    if isinstance(part, str):
        return change(part)
    return {**part, "text": change(str(part["text"]))} if "text" in part else part
