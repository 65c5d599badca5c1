"""The middle of a turn: from what was recalled to a prompt, and from the prompt to an answer."""

from collections.abc import AsyncGenerator
from datetime import timedelta

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.runnables import RunnableConfig

from chains.answering import answer, answer_stream
from chains.observing import Observer, Purpose, Stage
from chains.prompt import build_prompt
from chains.turn import ChatTurn
from memory.recollection import Recollection


class Thinking:
    """Asks the chat model, for turns.

    Args:
        model: the chat model.
        within: how long it may take, or may take for a piece of a stream.
        observer: told of prompts and calls.
    """

    def __init__(self, model: BaseChatModel, within: timedelta, observer: Observer) -> None:
        self._model, self._within, self._observer = model, within, observer

    async def answer(
        self, turn: ChatTurn, recollection: Recollection, config: RunnableConfig
    ) -> AIMessage:
        """The whole answer; raises as `chains.answering.answer`."""
        return await answer(
            self._model,
            self._prompt(turn, recollection),
            config,
            within=self._within,
            options=turn.ask.options,
            purpose=self._purpose(recollection),
        )

    def answer_stream(
        self, turn: ChatTurn, recollection: Recollection, config: RunnableConfig
    ) -> AsyncGenerator[AIMessageChunk]:
        """The answer as it comes; raises as `chains.answering.answer_stream`."""
        return answer_stream(
            self._model,
            self._prompt(turn, recollection),
            config,
            within=self._within,
            options=turn.ask.options,
            purpose=self._purpose(recollection),
        )

    def _prompt(self, turn: ChatTurn, recollection: Recollection) -> list[BaseMessage]:
        with self._observer.stage(Stage("prompt", turn.message, recollection)):
            return build_prompt(recollection, turn.ask)

    def _purpose(self, recollection: Recollection) -> Purpose:
        return Purpose("answer", self._observer, recollection.turn.snapshot.session.id)
