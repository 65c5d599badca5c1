"""Profiles as LangChain's classic memories, in LangChain's own chain and CombinedMemory."""

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_classic.chains import ConversationChain
from langchain_classic.memory import CombinedMemory
from langchain_core.agents import AgentAction
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from onionskin.chains.langchain_memory import OnionskinMemory
from onionskin.chains.models.offline import OfflineChatModel
from onionskin.memory.errors import InvalidInputError
from onionskin.memory.langchain.client import Onionskin, onionskin_in_thread
from onionskin.memory.langchain.named_sessions import external_session_id
from onionskin.memory.types.messages import Message, User
from tests.conftest import RedisClient

_STATEMENT, _QUESTION = "My dog is called Biscuit.", "What is my dog called?"


@pytest.fixture
def onionskin(redis: RedisClient, redis_url: str) -> Iterator[Onionskin]:
    assert redis
    with onionskin_in_thread(redis_url) as opened:
        yield opened


def _chain(memory: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return ConversationChain(llm=OfflineChatModel(), memory=memory)


def test_a_classic_chain_remembers_across_sessions_and_restarts(
    onionskin: Onionskin, user: User, redis_url: str
) -> None:
    _chain(OnionskinMemory(onionskin=onionskin, user=user, session="one")).invoke(
        {"input": _STATEMENT}
    )
    with onionskin_in_thread(redis_url) as another:
        memory = OnionskinMemory(onionskin=another, user=user, session="two")
        assert _STATEMENT in memory.load_memory_variables({"input": _QUESTION})["history"]
        stranger = OnionskinMemory(onionskin=another, user=User("bob"), session="one")
        assert stranger.load_memory_variables({"input": _QUESTION}) == {"history": ""}


@pytest.mark.parametrize("profile", ["window", "summary", "vector", "facts", "layered"])
def test_each_layer_is_a_memory(onionskin: Onionskin, user: User, profile: str) -> None:
    memory = OnionskinMemory(onionskin=onionskin, user=user, session="s", profile=profile)
    assert memory.memory_variables == ["history"]
    memory.save_context({"input": _STATEMENT}, {"output": "A fine name."})
    later = OnionskinMemory(onionskin=onionskin, user=user, session="s", profile=profile)
    loaded = later.load_memory_variables({"input": _QUESTION})["history"]
    assert ("Biscuit" in loaded) == (profile != "facts")
    memory.clear()
    assert "Biscuit" not in later.load_memory_variables({"input": _QUESTION})["history"]


def test_messages_are_returned_if_configured(onionskin: Onionskin, user: User) -> None:
    memory = OnionskinMemory(onionskin=onionskin, user=user, session="s", return_messages=True)
    memory.save_context({"input": _STATEMENT}, {"output": "A fine name."})
    *_, message, reply = memory.load_memory_variables({"input": _QUESTION})["history"]
    assert (message.text, reply.text) == (_STATEMENT, "A fine name.")


def test_layers_combine_in_langchains_combined_memory(onionskin: Onionskin, user: User) -> None:
    options: dict[str, Any] = {
        "onionskin": onionskin,
        "user": user,
        "session": "s",
        "input_key": "input",
    }
    combined = CombinedMemory(
        memories=[
            OnionskinMemory(**options, profile="window", memory_key="window"),
            OnionskinMemory(**options, profile="vector", memory_key="recalled", saves=False),
        ]
    )
    combined.save_context({"input": _STATEMENT}, {"output": "A fine name."})
    loaded = combined.load_memory_variables({"input": _QUESTION})
    assert all("Biscuit" in loaded[name] for name in ("window", "recalled"))
    session = onionskin.event_loop.run_blocking(
        onionskin.store.sessions.get(user, external_session_id("s"))
    )
    assert session.length == 2


def test_private_text_is_not_stored_and_several_inputs_need_a_key(
    onionskin: Onionskin, user: User
) -> None:
    memory = OnionskinMemory(onionskin=onionskin, user=user, session="s", return_messages=True)
    inputs = {"input": "My pin is <private>1234</private>."}
    assert memory.load_memory_variables(inputs) == {"history": []}
    memory.save_context(inputs, {"output": "It is 1234."})
    loaded = memory.load_memory_variables({"input": "What is my pin?"})["history"]
    assert not any("1234" in message.text for message in loaded)
    with pytest.raises(InvalidInputError, match="input_key"):
        memory.load_memory_variables({"a": "x", "b": "y"})
    chosen = OnionskinMemory(onionskin=onionskin, user=user, session="s", input_key="b")
    chosen.save_context({"a": "x", "b": SystemMessage("y")}, {"output": "z"})


def _stored(onionskin: Onionskin, user: User) -> list[Message]:
    async def read() -> list[Message]:
        session = await onionskin.store.sessions.get(user, external_session_id("s"))
        entries = await onionskin.store.transcripts.read_live(user, session)
        return [entry.message for entry in entries]

    return onionskin.event_loop.run_blocking(read())


def test_the_steps_of_an_agent_executor_are_stored_as_calls_and_results(
    onionskin: Onionskin, user: User
) -> None:
    memory = OnionskinMemory(onionskin=onionskin, user=user, session="s")
    steps = [
        (AgentAction(tool="look", tool_input={"place": "Porto"}, log=""), "Rain."),
        (AgentAction(tool="search", tool_input="boats", log=""), "Two boats."),
    ]
    outputs: dict[str, Any] = {"output": "It rains on two boats.", "intermediate_steps": steps}
    memory.save_context({"input": "How are the boats?"}, outputs)
    said, first, second, last = _stored(onionskin, user)
    assert said.content == "How are the boats?"
    assert (first.calls[0].name, first.calls[0].arguments) == ("look", '{"place": "Porto"}')
    assert (second.results[0].content, second.calls[0].name) == ("Rain.", "search")
    assert (last.results[0].content, last.content) == ("Two boats.", "It rains on two boats.")


def test_messages_as_input_and_output_are_stored_with_their_calls(
    onionskin: Onionskin, user: User
) -> None:
    memory = OnionskinMemory(onionskin=onionskin, user=user, session="s")
    call: Any = {"name": "look", "args": {}, "id": "c1"}
    asked = [AIMessage("Old."), HumanMessage("My boat is red."), HumanMessage("Where is it?")]
    memory.load_memory_variables({"input": asked})
    memory.save_context({"input": asked}, {"output": AIMessage("", tool_calls=[call])})
    said, answer = _stored(onionskin, user)
    assert said.content == "My boat is red.\nWhere is it?"
    assert [one.name for one in answer.calls] == ["look"]
    found: list[BaseMessage] = [ToolMessage("Here.", tool_call_id="c1"), AIMessage("It is here.")]
    memory.save_context({"input": "And?"}, {"output": found})
    assert _stored(onionskin, user)[-1].results[0].content == "Here."


def test_reasoning_is_not_stored_by_a_classic_memory(onionskin: Onionskin, user: User) -> None:
    memory = OnionskinMemory(onionskin=onionskin, user=user, session="s")
    memory.save_context({"input": "Hi."}, {"output": "<think>\nHm.\n</think>\n\nHello."})
    assert _stored(onionskin, user)[-1].content == "Hello."
    memory.save_context({"input": "Still there?"}, {"output": "<think>Hm."})
    assert [message.content for message in _stored(onionskin, user)][2:] == ["Still there?"]
