"""Turns with private text are never traced; observers get only their costs."""

from collections import abc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler, CallbackManagerForLLMRun
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langsmith import tracing_context  # pyright: ignore[reportUnknownVariableType]
from langsmith.utils import tracing_is_enabled  # pyright: ignore[reportUnknownVariableType]
from pydantic import Field

from onionskin.chains.conversation import ConversationChain, TurnReply, TurnRequest
from onionskin.chains.generation import Generator, TimedModel
from onionskin.chains.models.offline import OfflineChatModel
from onionskin.chains.observers import ModelCall, StageEvent
from onionskin.memory.combined import CombinedMemory
from onionskin.memory.types.messages import User
from onionskin.memory.types.snapshot import Section

_PRIVATE = "It is <private>canary-1</private>."


class WatchedModel(OfflineChatModel):
    """Records whether tracing and callbacks are active during a call."""

    listeners: list[tuple[bool, int]] = Field(default_factory=list[tuple[bool, int]])

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        handlers = run_manager.handlers if run_manager else []
        self.listeners.append((bool(tracing_is_enabled()), len(handlers)))
        return super()._generate(messages, stop, None, **kwargs)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        handlers = run_manager.handlers if run_manager else []
        self.listeners.append((bool(tracing_is_enabled()), len(handlers)))
        yield from super()._stream(messages, stop, None, **kwargs)


class RecordingHandler(BaseCallbackHandler):
    """Records what a tracer receives."""

    def __init__(self) -> None:
        self.inputs: list[Any] = []

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self.inputs.append(inputs)

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self.inputs.append(messages)


class RecordingObserver:
    """An observer that records every text it receives."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.tokens = 0

    @contextmanager
    def stage(self, stage: StageEvent) -> abc.Generator[None]:
        yield
        self.events.append(repr(stage))

    @contextmanager
    def model_call(self, call: ModelCall) -> abc.Generator[None]:
        yield
        self.events.append(repr(call))
        if call.message and call.message.usage_metadata:
            self.tokens += call.message.usage_metadata["total_tokens"]

    def turn(self, profile: str, outcome: str, sections: Sequence[Section]) -> None:
        self.events.append(outcome)


async def _answer(
    chain: ConversationChain, text: str, *, stream: bool, handler: RecordingHandler
) -> TurnReply:
    turn, config = TurnRequest(User("alice"), text), RunnableConfig(callbacks=[handler])
    if not stream:
        return await chain.ainvoke(turn, config)
    whole = TurnReply()
    async for piece in chain.astream(turn, config):
        whole += piece
    return whole


@pytest.mark.parametrize("stream", [False, True])
async def test_a_private_turn_is_not_traced(
    memory_of: Callable[[str], CombinedMemory], stream: bool
) -> None:
    model, observer, handler = WatchedModel(), RecordingObserver(), RecordingHandler()
    chain = ConversationChain(
        {"window": memory_of("window")},
        Generator(TimedModel(model), observer),
        default_profile="window",
    )
    assert (await _answer(chain, "It is plain.", stream=stream, handler=handler)).turn_id
    assert len(handler.inputs) == 2
    handler.inputs.clear()
    before = observer.tokens
    with tracing_context(enabled=True):
        assert tracing_is_enabled()
        reply = await _answer(chain, _PRIVATE, stream=stream, handler=handler)
    assert reply.turn_id
    assert model.listeners.pop() == (False, 0)
    assert handler.inputs == []
    assert observer.tokens > before
    assert "canary" not in "".join(observer.events)
    assert "It is [private]." in "".join(observer.events)


async def test_callbacks_of_an_outer_chain_are_not_inherited(
    memory_of: Callable[[str], CombinedMemory],
) -> None:
    model, handler = WatchedModel(), RecordingHandler()
    chain = ConversationChain({"window": memory_of("window")}, model, default_profile="window")

    async def within(_: str) -> str:
        return (await chain.ainvoke(TurnRequest(User("alice"), _PRIVATE))).turn_id

    assert await RunnableLambda(within).ainvoke("", {"callbacks": [handler]})
    assert handler.inputs == [""]
    assert model.listeners.pop() == (False, 0)
