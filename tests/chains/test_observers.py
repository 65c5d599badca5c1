"""A turn that says something private is in no trace, and observers hear what it costs alone."""

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

_SAID = "It is <private>canary-1</private>."


class Watched(OfflineChatModel):
    """A model that notes who listens while it is called."""

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


class Notes(BaseCallbackHandler):
    """What a tracer would see."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self.seen.append(inputs)

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self.seen.append(messages)


class Listening:
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


async def _answer(chain: ConversationChain, text: str, *, stream: bool, notes: Notes) -> TurnReply:
    turn, config = TurnRequest(User("alice"), text), RunnableConfig(callbacks=[notes])
    if not stream:
        return await chain.ainvoke(turn, config)
    whole = TurnReply()
    async for piece in chain.astream(turn, config):
        whole += piece
    return whole


@pytest.mark.parametrize("stream", [False, True])
async def test_nobody_listens_to_a_private_turn(
    memory_of: Callable[[str], CombinedMemory], stream: bool
) -> None:
    model, observer, notes = Watched(), Listening(), Notes()
    chain = ConversationChain(
        {"window": memory_of("window")},
        Generator(TimedModel(model), observer),
        default_profile="window",
    )
    assert (await _answer(chain, "It is plain.", stream=stream, notes=notes)).turn_id
    assert len(notes.seen) == 2
    notes.seen.clear()
    before = observer.tokens
    with tracing_context(enabled=True):
        assert tracing_is_enabled()
        reply = await _answer(chain, _SAID, stream=stream, notes=notes)
    assert reply.turn_id
    assert model.listeners.pop() == (False, 0)
    assert notes.seen == []
    assert observer.tokens > before
    assert "canary" not in "".join(observer.events)
    assert "It is [private]." in "".join(observer.events)


async def test_no_callback_of_a_chain_around_it_is_inherited(
    memory_of: Callable[[str], CombinedMemory],
) -> None:
    model, notes = Watched(), Notes()
    chain = ConversationChain({"window": memory_of("window")}, model, default_profile="window")

    async def within(_: str) -> str:
        return (await chain.ainvoke(TurnRequest(User("alice"), _SAID))).turn_id

    assert await RunnableLambda(within).ainvoke("", {"callbacks": [notes]})
    assert notes.seen == [""]
    assert model.listeners.pop() == (False, 0)
