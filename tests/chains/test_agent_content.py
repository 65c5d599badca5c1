"""What agents say besides text, and where their turns are stored: content, subagents, profiles."""

from typing import Any

import pytest
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.types import Command

from onionskin.memory.langchain.checkpointer import OnionskinSaver
from onionskin.memory.langchain.client import Onionskin
from onionskin.memory.types.messages import User
from tests.chains.scripted_agent import (
    ALICE,
    Pet,
    ScriptedModel,
    agent_of,
    ask,
    calls,
    config,
    lines,
    look,
    quote,
    says,
    stored,
)


async def test_images_alone_are_stored_as_a_placeholder_and_texts_of_parts_are_separated(
    onionskin: Onionskin, model: ScriptedModel
) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    agent = agent_of(onionskin, model)
    await agent.ainvoke(says([image]), config())
    assert image in list[Any](model.prompts[-1][-1].content)
    parts = [{"type": "text", "text": "I live in Porto"}, {"type": "text", "text": "My dog barks"}]
    await agent.ainvoke(says([*parts, image]), config())
    assert lines(await stored(onionskin)) == [
        "user: (see attachment)",
        "assistant: Ok.",
        "user: I live in Porto\nMy dog barks",
        "assistant: Ok.",
    ]


@pytest.mark.parametrize("tools", [[], [look]])
async def test_structured_output_by_a_tool_is_stored(
    onionskin: Onionskin, model: ScriptedModel, tools: list[Any]
) -> None:
    model.answers.append(calls(("Pet", {"name": "Quixote"})))
    agent = agent_of(onionskin, model, tools, response_format=ToolStrategy(Pet))
    state = await agent.ainvoke(says("My parrot is called Quixote."), config())
    assert state["structured_response"] == Pet(name="Quixote")
    said, answer, *_ = lines(await stored(onionskin))
    assert (said, answer) == (
        "user: My parrot is called Quixote.",
        'assistant: Pet{"name": "Quixote"}',
    )


async def test_structured_output_by_the_provider_is_stored(
    onionskin: Onionskin, model: ScriptedModel
) -> None:
    model.answers.append('{"name": "Quixote"}')
    agent = agent_of(onionskin, model, response_format=ProviderStrategy(Pet))
    state = await agent.ainvoke(says("My parrot is called Quixote."), config())
    assert state["structured_response"] == Pet(name="Quixote")
    assert lines(await stored(onionskin))[1] == 'assistant: {"name": "Quixote"}'


async def test_the_input_of_a_subagent_is_not_what_the_user_said(
    onionskin: Onionskin, model: ScriptedModel
) -> None:
    inner_model = ScriptedModel()
    inner_model.answers.append("Found a boat.")
    inner = agent_of(onionskin, inner_model, saver=False)

    @tool
    async def research(task: str) -> str:
        """Let another agent do research."""
        state = await inner.ainvoke({"messages": [HumanMessage(task)]})
        return str(state["messages"][-1].text)

    await agent_of(onionskin, model).ainvoke(says("My harbour is in Gent."), config("before"))
    model.answers.extend([calls(("research", {"task": "Search in my harbour."})), "A boat."])
    await agent_of(onionskin, model, [research]).ainvoke(says("Find a boat."), config())
    assert "My harbour is in Gent." in str(inner_model.prompts[-1])
    assert lines(await stored(onionskin)) == [
        "user: Find a boat.",
        'assistant: research{"task": "Search in my harbour."}',
        "assistant: <Found a boat.> A boat.",
    ]
    assert len(await onionskin.store.sessions.list(ALICE, after=None, count=9)) == 2


async def test_a_streamed_run_and_one_whose_reader_leaves_are_stored(
    onionskin: Onionskin, model: ScriptedModel
) -> None:
    model.answers.extend([calls(("look", {"place": "Porto"})), "It rains."])
    agent = agent_of(onionskin, model, [look])
    async for _ in agent.astream(says("What about Porto?"), config(), stream_mode="messages"):
        pass
    assert len(await stored(onionskin)) == 3
    model.answers.append(calls(("look", {"place": "Gent"}), first=2))
    stream = agent.astream(says("What about Gent?"), config(), stream_mode="updates")
    async for update in stream:
        if "model" in update:
            break
    await stream.aclose()
    assert lines(await stored(onionskin))[3:] == [
        "user: What about Gent?",
        'assistant: look{"place": "Gent"}',
    ]


async def test_a_thread_without_a_checkpointer_and_a_run_without_a_thread_are_stored(
    onionskin: Onionskin, model: ScriptedModel
) -> None:
    agent = agent_of(onionskin, model, saver=False)
    history = [HumanMessage("My boat is red."), AIMessage("Ok.")]
    await agent.ainvoke({"messages": history[:1]}, config())
    await agent.ainvoke({"messages": [*history, HumanMessage("Which colour?")]}, config())
    assert [message.content for message in await stored(onionskin)] == [
        *("My boat is red.", "Ok.", "Which colour?", "Ok.")
    ]
    await agent.ainvoke(says("And the sail?"), {"configurable": {"user_id": "bob"}})
    await agent.ainvoke(says("And the mast?"), {"configurable": {"user_id": "bob"}})
    (session,) = await onionskin.store.sessions.list(User("bob"), after=None, count=9)
    assert session.length == 4


@pytest.mark.parametrize("profile", ["layered", "window", "summary", "vector", "facts", "none"])
async def test_every_profile_stores_and_completes_turns(
    onionskin: Onionskin, model: ScriptedModel, profile: str
) -> None:
    options = {"profile": profile, "history": "window"}
    model.answers.extend([calls(("ask", {"question": "Red?"})), "Red then."])
    saver = OnionskinSaver(onionskin)
    agent = agent_of(onionskin, model, [ask], saver=saver, options=options)
    await agent.ainvoke(says("Hello."), config("x"))
    model.answers.append(calls(("ask", {"question": "Red?"})))
    model.answers.append("Red then.")
    await agent.ainvoke(Command(resume="yes"), config("x"))
    model.answers.clear()
    model.answers.extend([calls(("ask", {"question": "Red?"}), first=5), "Red then."])
    await agent.ainvoke(says("Paint my boat."), config())
    again = agent_of(onionskin, model, [ask], saver=saver, options=options)
    await again.ainvoke(Command(resume="yes"), config())
    assert lines(await stored(onionskin)) == [
        "user: Paint my boat.",
        'assistant: ask{"question": "Red?"}',
        "assistant: <They say yes.> Red then.",
    ]


async def test_the_window_keeps_calls_and_results_of_the_turn_together(
    onionskin: Onionskin, model: ScriptedModel
) -> None:
    agent = agent_of(onionskin, model, [look], options={"history": "window", "profile": "window"})
    for number in range(8):
        model.answers.extend(
            [calls(("look", {"place": f"P{number}"}), first=number * 2), "It rains."]
        )
        await agent.ainvoke(says(f"How is P{number}?"), config())
        open_calls = set[str]()
        for message in model.prompts[-1]:
            if isinstance(message, AIMessage):
                assert not open_calls
                open_calls = {str(call["id"]) for call in message.tool_calls}
            if isinstance(message, ToolMessage):
                open_calls.remove(message.tool_call_id)
        assert not open_calls
        assert [kind for kind, _ in model.last_prompt][-3:] == ["human", "ai", "tool"]
        assert model.last_prompt[-3][1].endswith(f"How is P{number}?")


async def test_reasoning_in_an_answer_is_not_stored(
    onionskin: Onionskin, model: ScriptedModel
) -> None:
    model.answers.append("<think>\nHm.\n</think>\n\nA fine boat.")
    state = await agent_of(onionskin, model).ainvoke(says("My boat is red."), config())
    assert state["messages"][-1].text.startswith("<think>")
    assert lines(await stored(onionskin))[1] == "assistant: A fine boat."


async def test_private_text_is_in_no_stored_call_or_result(
    onionskin: Onionskin, model: ScriptedModel
) -> None:
    model.answers.extend([calls(("look", {"place": "code 84629"})), "Your code 84629 works."])
    agent = agent_of(onionskin, model, [look])
    await agent.ainvoke(says("Try <private>code 84629</private>."), config())
    assert "84629" not in str(await stored(onionskin))
    assert len(await stored(onionskin)) == 3


def test_agents_without_an_event_loop_store_the_same(
    sync_onionskin: Onionskin, model: ScriptedModel
) -> None:
    run = sync_onionskin.event_loop.run_blocking
    model.answers.extend([calls(("quote", {"number": 7})), RuntimeError("No model.")])
    agent = agent_of(sync_onionskin, model, [quote])
    agent.invoke(says("My boat is red.", "What does it cost?"), config())
    assert lines(run(stored(sync_onionskin))) == [
        "user: My boat is red.",
        "user: What does it cost?",
        'assistant: quote{"number": 7}',
        "assistant: <It costs 7.>",
    ]
    with pytest.raises(RuntimeError, match="No model"):
        agent.invoke(says("Thanks."), config())
    assert lines(run(stored(sync_onionskin)))[4:] == ["user: Thanks."]
    model.answers.append(calls(("quote", {"number": 8}), first=2))
    for _ in agent.stream(says("Thanks."), config()):
        pass
    assert lines(run(stored(sync_onionskin)))[4:] == [
        "user: Thanks.",
        'assistant: quote{"number": 8}',
        "assistant: <It costs 8.>",
    ]
