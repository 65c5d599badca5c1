"""What is shown to whom: to the model, and, where it sees more than anybody else may, to nobody."""

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, cast

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableConfig
from langsmith import tracing_context  # pyright: ignore[reportUnknownVariableType]

from chains.observing import ModelCall, Observer, Stage
from memory.privacy.discretion import Discretion
from memory.types import Section


def untraced(config: RunnableConfig | None) -> RunnableConfig:
    """A config without callbacks, neither its own nor those of a chain around it."""
    return {**(config or {}), "callbacks": []}


@contextmanager
def no_trace() -> Generator[None]:
    """LangSmith, which its environment variables switch on, is told nothing here."""
    with tracing_context(enabled=False):
        yield


class Discreet:
    """An observer that hears of a model call what it costs, and neither prompt nor answer.

    Args:
        inner: who is told.
    """

    def __init__(self, inner: Observer) -> None:
        self._inner = inner

    def stage(self, stage: Stage) -> AbstractContextManager[object]:
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


def shown(prompt: Sequence[BaseMessage], discretion: Discretion) -> Sequence[BaseMessage]:
    """A prompt as the policy lets the model see it: memories and instructions too."""
    if discretion.mode != "model":
        return prompt
    return [with_texts(message, discretion.shown) for message in prompt]


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
