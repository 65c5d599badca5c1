"""An agent with tools remembers across threads, processes and restarts, over a real client."""

import asyncio
import sys
from typing import Any

import msgspec
import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_openai import ChatOpenAI
from langgraph.runtime import Runtime  # pyright: ignore[reportMissingTypeStubs]
from pydantic import SecretStr

from onionskin.chains.agent_middleware import LayeredMemoryMiddleware
from onionskin.memory.errors import InvalidInputError, UnknownProfileError
from onionskin.memory.langchain.checkpointer import OnionskinSaver
from onionskin.memory.langchain.client import Onionskin
from onionskin.memory.langchain.named_sessions import external_session_id
from onionskin.memory.types.messages import User
from tests.chains.agent import create_agent, weather
from tests.conftest import RedisClient, repository
from tests.openai_server import Fault, OpenAIServer

_CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": ""}}
_ALICE = User("alice")


def _calling(city: str) -> Fault:
    """An answer in which the model calls the tool."""
    arguments = msgspec.json.encode({"city": city}).decode()
    call = {**_CALL, "function": {"name": "weather", "arguments": arguments}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    answer = {"id": "a", "object": "chat.completion", "created": 0, "model": "m"}
    return Fault(body=msgspec.json.encode({**answer, "choices": [choice]}))


def _config(thread: str, user: str = "alice") -> Any:
    return {"configurable": {"user_id": user, "thread_id": thread}}


def _model(server: OpenAIServer) -> ChatOpenAI:
    return ChatOpenAI(model="m", base_url=server.base_url, api_key=SecretStr("none"))


def _agent(onionskin: Onionskin, server: OpenAIServer, **options: Any) -> Any:
    middleware = LayeredMemoryMiddleware(onionskin, **options)
    return create_agent(
        _model(server),
        [weather],
        system_prompt="You are a guide.",
        middleware=[middleware],
        checkpointer=OnionskinSaver(onionskin),
    )


def _message(text: Any) -> dict[str, Any]:
    return {"messages": [HumanMessage(text)]}


async def _in_another_process(
    redis_url: str, server: OpenAIServer, thread: str, *lines: str
) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chains.agent", redis_url, server.base_url, "alice", thread),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=repository(),
    )
    output, _ = await process.communicate("\n".join(lines).encode())
    assert process.returncode == 0
    return output.decode().splitlines()


async def test_an_agent_with_tools_remembers_across_threads_and_restarts(
    redis: RedisClient, redis_url: str
) -> None:
    assert redis
    async with OpenAIServer() as server:
        server.reply = lambda _: "It rains there."
        server.faults.append(_calling("Lisbon"))
        first = await _in_another_process(redis_url, server, "one", "My dog Biscuit is in Lisbon.")
        assert first == ["It rains there."]
        called, answered = [request.messages for request in server.requests]
        assert called[0][1].startswith("You are a guide.\n\nYou are a helpful assistant who")
        assert answered[-1] == ("tool", "Rain in Lisbon.")
        assert answered[:2] == called[:2]  # the memories are read once per turn
        server.requests.clear()
        await _in_another_process(redis_url, server, "two", "Where is Biscuit?", "And now?")
        for request in server.requests:
            assert "My dog Biscuit is in Lisbon." in str(request.messages)
        assert [role for role, _ in server.requests[1].messages] == [
            *("system", "user", "assistant", "user")
        ]


async def test_a_turn_is_stored_once(onionskin: Onionskin) -> None:
    async with OpenAIServer() as server:
        server.faults.append(_calling("Porto"))
        agent = _agent(onionskin, server)
        state = await agent.ainvoke(_message("What about Porto?"), _config("t"))
    again = LayeredMemoryMiddleware(onionskin)

    async def repeated(state: Any) -> None:
        await again.aafter_agent(state, Runtime())

    await RunnableLambda(repeated).ainvoke(state, _config("t"))
    stored = await onionskin.store.transcripts.read(
        _ALICE, external_session_id("t"), start=0, count=9
    )
    assert [entry.message.role for entry in stored] == ["user", "assistant", "assistant"]
    assert stored[0].message.content == "What about Porto?"


async def test_the_window_can_replace_the_thread(onionskin: Onionskin) -> None:
    async with OpenAIServer() as server:
        server.reply = lambda _: "Yes."
        agent = _agent(onionskin, server, history="window", profile="window")
        for number in range(9):
            await agent.ainvoke(_message(f"Number {number}."), _config("t"))
        roles = [role for role, _ in server.requests[-1].messages]
        assert roles == ["system", *("user", "assistant") * 6, "user"]
        state = await agent.aget_state(_config("t"))
        assert len(state.values["messages"]) == 18


async def test_images_stay_and_only_the_model_sees_private_text(
    onionskin: Onionskin,
) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    text = {"type": "text", "text": "My pin is <private>1234</private>."}
    async with OpenAIServer() as server:
        server.reply = lambda _: "It is 1234."
        agent = _agent(onionskin, server)
        state = await agent.ainvoke(_message([text, image]), _config("t"))
        sent = server.requests[0].body["messages"][-1]["content"]
        assert sent[1] == image
        assert sent[0]["text"].endswith("My pin is 1234.")
        assert "1234" not in str(state["messages"][0].content)
        assert state["messages"][0].content[1] == image
        await agent.ainvoke(_message("What is it?"), _config("another"))
        assert "1234" not in str(server.requests[-1].messages)
    stored = await onionskin.store.transcripts.read(
        _ALICE, external_session_id("t"), start=0, count=9
    )
    assert len(stored) == 2
    assert not any("1234" in entry.message.content for entry in stored)


async def test_users_are_isolated_and_a_run_without_a_user_is_refused(onionskin: Onionskin) -> None:
    async with OpenAIServer() as server:
        agent = _agent(onionskin, server)
        await agent.ainvoke(_message("My dog is called Biscuit."), _config("t"))
        await agent.ainvoke(_message("What is my dog called?"), _config("t", "bob"))
        assert "Biscuit" not in str(server.requests[-1].messages)
        bare = create_agent(_model(server), [], middleware=[LayeredMemoryMiddleware(onionskin)])
        with pytest.raises(InvalidInputError, match="names no user"):
            await bare.ainvoke(_message("Hello."))
        middleware = LayeredMemoryMiddleware(onionskin, _ALICE)
        own = create_agent(_model(server), [], middleware=[middleware])
        await own.ainvoke(_message("Who is Biscuit?"))
        assert "My dog is called Biscuit." in str(server.requests[-1].messages)
        with pytest.raises(InvalidInputError, match="'bob'"):
            await own.ainvoke(_message("Hello."), _config("t", "bob"))
    with pytest.raises(UnknownProfileError, match="layered"):
        LayeredMemoryMiddleware(onionskin, profile="nothing")


def test_agents_without_an_event_loop_remember_too(sync_onionskin: Onionskin) -> None:
    server = sync_onionskin.event_loop.run_blocking(OpenAIServer().__aenter__())
    agent = _agent(sync_onionskin, server)
    agent.invoke(_message("My dog is called Biscuit."), _config("one"))
    agent.invoke(_message("What is my dog called?"), _config("two"))
    assert "My dog is called Biscuit." in str(server.requests[-1].messages)
    sync_onionskin.event_loop.run_blocking(server.__aexit__())
