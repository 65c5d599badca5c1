"""Asking a chat model for plain data of a given form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable

from chains.answering import answer_within
from chains.errors import ModelError
from chains.observing import Purpose

_UNPARSED = ("LengthFinishReasonError", "ContentFilterFinishReasonError", "ValidationError")
"""How SDKs say that an answer came, but not whole or not in the form."""


@dataclass(frozen=True, slots=True)
class Structure:
    """What a model answered.

    Attributes:
        data: as plain data, of whatever form; None if it was no data at all.
        tokens: that the call took, as far as the model tells.
    """

    data: Any
    tokens: int


class StructuredModel:
    """A chat model that answers with data.

    Args:
        model: the chat model.
        schema: JSON Schema of the answer, with a title.
        purpose: what it is called for, and who is told of it.
    """

    def __init__(self, model: BaseChatModel, schema: Mapping[str, Any], purpose: Purpose) -> None:
        self._model, self._purpose = model, purpose
        try:
            bound = model.with_structured_output(dict(schema), include_raw=True)
        except NotImplementedError:
            bound = None
        self._bound = cast("Runnable[list[BaseMessage], dict[str, Any]] | None", bound)

    @property
    def able(self) -> bool:
        """Whether the model can do it; the offline one cannot."""
        return self._bound is not None

    async def ask(self, prompt: Sequence[BaseMessage], *, within: timedelta) -> Structure:
        """The model's answer as data.

        Raises:
            ModelTimeoutError: it took longer than `within`.
            ModelError: it failed.
        """
        if self._bound is None:
            raise ModelError("The chat model cannot answer with structured output.")
        call = self._purpose.call(self._model, prompt)
        with self._purpose.observer.model_call(call):
            try:
                found = await answer_within(self._bound.ainvoke(list(prompt)), within)
            except ModelError as error:
                if type(error.__cause__).__name__ in _UNPARSED:
                    return Structure(None, 0)
                raise
            call.message = raw = cast("AIMessage", found["raw"])
        tokens = raw.usage_metadata["total_tokens"] if raw.usage_metadata else 0
        return Structure(found["parsed"], tokens)
