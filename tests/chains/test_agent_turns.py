"""Whatever a run of an agent comes to, what the user said is stored, once, with what came of it."""

from typing import Any

import pytest
from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    ModelRetryMiddleware,
    SummarizationMiddleware,
)
from langchain_core.messages import HumanMessage, ToolMessage
from langgraph.types import Command

from onionskin.memory.langchain.checkpointer import OnionskinSaver
from onionskin.memory.langchain.client import Onionskin
from tests.chains.scripted_agent import (
    ALICE,
    ScriptedModel,
    agent_of,
    ask,
    broken,
    calls,
    config,
    lines,
    look,
    quote,
    says,
    stored,
)


async def test_calls_and_results_are_stored_with_the_answer(
    onionskin: Onionskin, model: ScriptedModel
) -> None:
    model.answers.extend([calls(("look", {"place": "Porto"}), text="I look."), "It rains."])
    await agent_of(onionskin, model, [look]).ainvoke(says("What about Porto?"), config())
    messages = await stored(onionskin)
    assert lines(messages) == [
        "user: What about Porto?",
        'assistant: I look. look{"place": "Porto"}',
        "assistant: <Rain in Porto.> It rains.",
    ]
    assert messages[1].calls[0].id == messages[2].results[0].call_id == "c1"
    assert messages[2].results[0].name == "look"


async def test_parallel_calls_and_several_rounds_are_one_turn(
    onionskin: Onionskin, model: ScriptedModel
) -> None:
    model.answers.extend(
        [
            calls(("look", {"place": "Porto"}), ("look", {"place": "Gent"})),
            calls(("look", {"place": "Rome"}), first=3),
            "It rains.",
        ]
    )
    await agent_of(onionskin, model, [look]).ainvoke(says("Where does it rain?"), config())
    messages = await stored(onionskin)
    assert lines(messages) == [
        "user: Where does it rain?",
        'assistant: look{"place": "Porto"}look{"place": "Gent"}',
        'assistant: <Rain in Porto.><Rain in Gent.> look{"place": "Rome"}',
        "assistant: <Rain in Rome.> It rains.",
    ]
    session = (await onionskin.store.sessions.list(ALICE, after=None, count=9))[0]
    turn = await onionskin.store.transcripts.turn(ALICE, f"{session.id}.0")
    assert len(turn.messages) == 4


async def test_a_tool_that_answers_directly_ends_a_stored_turn(
    onionskin: Onionskin, model: ScriptedModel
) -> None:
    model.answers.append(calls(("quote", {"number": 7})))
    agent = agent_of(onionskin, model, [quote])
    state = await agent.ainvoke(says("What does the boat cost?"), config())
    assert isinstance(state["messages"][-1], ToolMessage)
    assert lines(await stored(onionskin)) == [
        "user: What does the boat cost?",
        'assistant: quote{"number": 7}',
        "assistant: <It costs 7.>",
    ]
    await agent.ainvoke(says("Thanks."), config())
    assert lines(await stored(onionskin))[3:] == ["user: Thanks.", "assistant: Ok."]


async def test_a_run_that_waits_for_a_person_is_stored_and_completed_when_it_goes_on(
    onionskin: Onionskin, model: ScriptedModel
) -> None:
    model.answers.append(calls(("look", {"place": "Porto"})))
    person = HumanInTheLoopMiddleware(interrupt_on={"look": True})
    saver = OnionskinSaver(onionskin)
    await agent_of(onionskin, model, [look], others=[person], saver=saver).ainvoke(
        says("My boat is in Porto. How is it?"), config()
    )
    waiting = ["user: My boat is in Porto. How is it?", 'assistant: look{"place": "Porto"}']
    assert lines(await stored(onionskin)) == waiting
    await agent_of(onionskin, model).ainvoke(says("Where is my boat?"), config("other"))
    assert "My boat is in Porto." in str(model.prompts[-1])
    later = agent_of(onionskin, model, [look], others=[person], saver=saver)
    model.answers.append("It is wet.")
    resumed: Any = Command(resume={"decisions": [{"type": "approve"}]})
    await later.ainvoke(resumed, config())
    assert lines(await stored(onionskin)) == [*waiting, "assistant: <Rain in Porto.> It is wet."]
    assert "How is it?" in model.last_prompt[-3][1]
    assert [kind for kind, _ in model.last_prompt] == ["system", "human", "ai", "tool"]


@pytest.mark.parametrize("first", [True, False])
async def test_the_result_of_a_call_that_a_person_changed_is_stored(
    onionskin: Onionskin, model: ScriptedModel, first: bool
) -> None:
    model.answers.extend([calls(("look", {"place": "Porto"})), "It rains."])
    person = HumanInTheLoopMiddleware(interrupt_on={"look": True})
    agent = agent_of(onionskin, model, [look], others=[person], first=first)
    await agent.ainvoke(says("How is my boat?"), config())
    action = {"name": "look", "args": {"place": "Gent"}}
    decision = {"type": "edit", "edited_action": action}
    await agent.ainvoke(Command(resume={"decisions": [decision]}), config())
    said, _, answer = await stored(onionskin)
    assert said.content == "How is my boat?"
    assert "Rain in Gent." in answer.results[0].content


class _Corrections(AgentMiddleware[Any, Any, Any]):
    """Changes the calls of answers in the state."""

    def after_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        last = state["messages"][-1]
        if not last.tool_calls:
            return None
        corrected = [{**call, "args": {"place": "Gent"}} for call in last.tool_calls]
        return {"messages": [last.model_copy(update={"tool_calls": corrected})]}


@pytest.mark.parametrize("first", [True, False])
async def test_calls_that_other_middleware_changes_replace_the_stored_ones(
    onionskin: Onionskin, model: ScriptedModel, first: bool
) -> None:
    model.answers.extend([calls(("look", {"place": "Porto"})), "It rains."])
    agent = agent_of(onionskin, model, [look], others=[_Corrections()], first=first)
    await agent.ainvoke(says("How is my boat?"), config())
    assert lines(await stored(onionskin)) == [
        "user: How is my boat?",
        'assistant: look{"place": "Gent"}',
        "assistant: <Rain in Gent.> It rains.",
    ]


async def test_a_tool_that_asks_the_user_goes_on_with_the_reply(
    onionskin: Onionskin, model: ScriptedModel
) -> None:
    model.answers.extend([calls(("ask", {"question": "Red?"})), "Red then."])
    agent = agent_of(onionskin, model, [ask])
    await agent.ainvoke(says("Paint my boat."), config())
    assert len(await stored(onionskin)) == 2
    await agent.ainvoke(Command(resume="yes"), config())
    assert lines(await stored(onionskin)) == [
        "user: Paint my boat.",
        'assistant: ask{"question": "Red?"}',
        "assistant: <They say yes.> Red then.",
    ]


async def test_a_new_message_after_a_run_that_was_never_resumed_is_a_turn_of_its_own(
    onionskin: Onionskin, model: ScriptedModel
) -> None:
    model.answers.append(calls(("ask", {"question": "Red?"})))
    agent = agent_of(onionskin, model, [ask])
    await agent.ainvoke(says("Paint my boat."), config())
    await agent.ainvoke(says("Never mind."), config())
    assert lines(await stored(onionskin)) == [
        "user: Paint my boat.",
        'assistant: ask{"question": "Red?"}',
        "user: Never mind.",
        "assistant: Ok.",
    ]


async def test_the_same_message_again_replaces_a_run_that_was_never_resumed(
    onionskin: Onionskin, model: ScriptedModel
) -> None:
    model.answers.append(calls(("ask", {"question": "Red?"})))
    await agent_of(onionskin, model, [ask]).ainvoke(says("Paint my boat."), config())
    await agent_of(onionskin, model, [ask]).ainvoke(says("Paint my boat."), config())
    assert "Red?" not in str(model.prompts[-1])
    assert lines(await stored(onionskin)) == ["user: Paint my boat.", "assistant: Ok."]


@pytest.mark.parametrize("history", ["thread", "window"])
async def test_several_messages_of_one_call_are_stored_and_shown(
    onionskin: Onionskin, model: ScriptedModel, history: str
) -> None:
    agent = agent_of(onionskin, model, options={"history": history})
    await agent.ainvoke(says("My flat is in Gent.", "Where is my flat?"), config())
    shown = [text for kind, text in model.last_prompt if kind == "human"]
    assert shown[0] == "My flat is in Gent."
    assert shown[1].endswith("Where is my flat?")
    assert len(shown) == 2
    assert lines(await stored(onionskin)) == [
        "user: My flat is in Gent.",
        "user: Where is my flat?",
        "assistant: Ok.",
    ]


async def test_a_summary_by_other_middleware_is_not_what_the_user_said(
    onionskin: Onionskin, model: ScriptedModel
) -> None:
    summarizer = ScriptedModel()
    summarizer.answers.extend(["A summary."] * 9)
    other = SummarizationMiddleware(summarizer, trigger=("messages", 3), keep=("messages", 1))
    agent = agent_of(onionskin, model, others=[other])
    await agent.ainvoke(says("My flat is in Gent."), config())
    await agent.ainvoke(says("My boat is in Porto."), config())
    assert "A summary." in str(model.prompts[-1])
    assert lines(await stored(onionskin)) == [
        "user: My flat is in Gent.",
        "assistant: Ok.",
        "user: My boat is in Porto.",
        "assistant: Ok.",
    ]


@pytest.mark.parametrize("history", ["thread", "window"])
async def test_a_message_that_a_summary_swallowed_is_still_answered_and_stored(
    onionskin: Onionskin, model: ScriptedModel, history: str
) -> None:
    summarizer = ScriptedModel()
    summarizer.answers.extend(["A summary."] * 9)
    other = SummarizationMiddleware(summarizer, trigger=("messages", 3), keep=("messages", 2))
    model.answers.extend([calls(("look", {"place": "Porto"})), "It rains."])
    agent = agent_of(onionskin, model, [look], others=[other], options={"history": history})
    await agent.ainvoke(says("My boat is in Porto. How is it?"), config())
    prompt = model.last_prompt
    humans = [text for kind, text in prompt if kind == "human"]
    assert humans[-1].endswith("My boat is in Porto. How is it?")
    assert [kind for kind, _ in prompt][-2:] == ["ai", "tool"]
    assert lines(await stored(onionskin)) == [
        "user: My boat is in Porto. How is it?",
        'assistant: look{"place": "Porto"}',
        "assistant: <Rain in Porto.> It rains.",
    ]


async def test_notices_of_the_harness_are_not_what_the_user_said(
    onionskin: Onionskin, model: ScriptedModel
) -> None:
    notice = HumanMessage("Job 4 is done.", additional_kwargs={"lc_source": "async_subagent"})
    agent = agent_of(onionskin, model)
    await agent.ainvoke({"messages": [HumanMessage("My boat is red."), notice]}, config())
    assert "Job 4 is done." in str(model.prompts[-1])
    await agent.ainvoke({"messages": [notice]}, config())
    assert lines(await stored(onionskin))[:2] == ["user: My boat is red.", "assistant: Ok."]
    assert not any("Job 4" in line for line in lines(await stored(onionskin)))


async def test_a_failure_of_the_model_keeps_the_message_and_a_retry_answers_it(
    onionskin: Onionskin, model: ScriptedModel
) -> None:
    model.answers.append(RuntimeError("No model."))
    agent = agent_of(onionskin, model)
    with pytest.raises(RuntimeError, match="No model"):
        await agent.ainvoke(says("My boat is in Porto."), config())
    assert lines(await stored(onionskin)) == ["user: My boat is in Porto."]
    await agent.ainvoke(says("My boat is in Porto."), config())
    shown = [text for kind, text in model.last_prompt if kind == "human"]
    assert sum(text.count("My boat is in Porto.") for text in shown) == 1
    assert lines(await stored(onionskin)) == ["user: My boat is in Porto.", "assistant: Ok."]


@pytest.mark.parametrize("saver", [None, False])
async def test_a_message_after_one_without_an_answer_joins_its_turn(
    onionskin: Onionskin, model: ScriptedModel, saver: Any
) -> None:
    model.answers.append(RuntimeError("No model."))
    agent = agent_of(onionskin, model, saver=saver)
    with pytest.raises(RuntimeError, match="No model"):
        await agent.ainvoke(says("My boat is in Porto."), config())
    await agent.ainvoke(says("Where is it?"), config())
    humans = "\n".join(text for kind, text in model.last_prompt if kind == "human")
    assert humans.count("My boat is in Porto.") == 1
    assert lines(await stored(onionskin)) == [
        "user: My boat is in Porto.",
        "user: Where is it?",
        "assistant: Ok.",
    ]
    session = (await onionskin.store.sessions.list(ALICE, after=None, count=9))[0]
    assert len((await onionskin.store.transcripts.turn(ALICE, f"{session.id}.0")).messages) == 3


async def test_attempts_within_a_run_store_once(onionskin: Onionskin, model: ScriptedModel) -> None:
    for first in (True, False):
        model.answers.extend([RuntimeError("No model."), "Noted."])
        retries = ModelRetryMiddleware(max_retries=1, initial_delay=0)
        agent = agent_of(onionskin, model, others=[retries], first=first)
        await agent.ainvoke(says("My boat is red."), config(str(first)))
        messages = await stored(onionskin, str(first))
        assert lines(messages) == ["user: My boat is red.", "assistant: Noted."]


async def test_a_failure_of_a_tool_keeps_message_and_calls_and_a_retry_replaces_them(
    onionskin: Onionskin, model: ScriptedModel
) -> None:
    model.answers.append(calls(("broken", {"place": "Porto"})))
    agent = agent_of(onionskin, model, [broken], saver=False)
    with pytest.raises(RuntimeError, match="No road"):
        await agent.ainvoke(says("Go to Porto."), config())
    assert lines(await stored(onionskin)) == [
        "user: Go to Porto.",
        'assistant: broken{"place": "Porto"}',
    ]
    await agent.ainvoke(says("Go to Porto."), config())
    assert lines(await stored(onionskin)) == ["user: Go to Porto.", "assistant: Ok."]
