"""The middle of a turn: from what was recalled to a prompt, and from the prompt to an answer."""

from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.runnables import RunnableConfig

from chains.answering import answer, answer_stream
from chains.discreet import Discreet, no_trace, shown
from chains.observing import Observer, Purpose, Stage
from chains.prompt import build_prompt
from chains.turn import ChatTurn
from memory.privacy.discretion import Discretion
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
        self,
        turn: ChatTurn,
        recollection: Recollection,
        config: RunnableConfig,
        discretion: Discretion,
    ) -> AIMessage:
        """The whole answer; raises as `chains.answering.answer`."""
        return await answer(
            self._model,
            self._prompt(turn, recollection, discretion),
            config,
            within=self._within,
            options=turn.ask.options,
            purpose=self._purpose(turn, recollection),
        )

    def answer_stream(
        self,
        turn: ChatTurn,
        recollection: Recollection,
        config: RunnableConfig,
        discretion: Discretion,
    ) -> AsyncGenerator[AIMessageChunk]:
        """The answer as it comes; raises as `chains.answering.answer_stream`."""
        return answer_stream(
            self._model,
            self._prompt(turn, recollection, discretion),
            config,
            within=self._within,
            options=turn.ask.options,
            purpose=self._purpose(turn, recollection),
        )

    def _prompt(
        self, turn: ChatTurn, recollection: Recollection, discretion: Discretion
    ) -> Sequence[BaseMessage]:
        with self._observer.stage(Stage("prompt", turn.message, recollection)):
            seen = turn.said.seen if turn.said else turn.message
            return shown(build_prompt(recollection, turn.ask, seen=seen), discretion)

    def _purpose(self, turn: ChatTurn, recollection: Recollection) -> Purpose:
        session_id = recollection.turn.snapshot.session.id
        if turn.is_withheld:
            return Purpose("answer", Discreet(self._observer), session_id, no_trace)
        return Purpose("answer", self._observer, session_id)
