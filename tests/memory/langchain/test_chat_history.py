"""The transcript as a chat message history, in LangChain's own runnable, sync and async."""

from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.runnables.history import RunnableWithMessageHistory

from onionskin.memory.errors import SessionClosedError
from onionskin.memory.langchain.chat_history import OnionskinHistory
from onionskin.memory.langchain.client import Onionskin
from onionskin.memory.langchain.named_sessions import external_session_id
from onionskin.memory.store import TaskQueue
from onionskin.memory.types.messages import User
from onionskin.memory.types.tasks import EmbedTask, RecordAccessTask, SummarizeTask


def _count(messages: list[BaseMessage]) -> AIMessage:
    return AIMessage(f"{len(messages)} messages, the first {messages[0].text!r}.")


def _runnable(onionskin: Onionskin, user: User) -> Any:
    def history(session_id: str) -> OnionskinHistory:
        return OnionskinHistory(onionskin, user, session_id)

    with pytest.warns(DeprecationWarning, match="RunnableWithMessageHistory"):
        return RunnableWithMessageHistory(RunnableLambda(_count), history)


_CONFIG: RunnableConfig = {"configurable": {"session_id": "any name: {of} mine"}}


def test_a_runnable_goes_on_without_an_event_loop(waiting: Onionskin, user: User) -> None:
    runnable = _runnable(waiting, user)
    runnable.invoke([HumanMessage("Hello.")], _CONFIG)
    answer = runnable.invoke([HumanMessage("And now?")], _CONFIG)
    assert answer.text == "3 messages, the first 'Hello.'."
    history = OnionskinHistory(waiting, user, "any name: {of} mine")
    assert [one.type for one in history.messages] == ["human", "ai"] * 2
    history.clear()
    assert history.messages == []


async def test_a_runnable_goes_on_in_an_event_loop(onionskin: Onionskin, user: User) -> None:
    await _runnable(onionskin, user).ainvoke([HumanMessage("Hello.")], _CONFIG)
    answer = await _runnable(onionskin, user).ainvoke([HumanMessage("And now?")], _CONFIG)
    assert answer.text == "3 messages, the first 'Hello.'."
    other = OnionskinHistory(onionskin, User("bob"), "any name: {of} mine")
    assert await other.aget_messages() == []


async def test_what_is_not_said_and_what_is_private_is_left_out(
    onionskin: Onionskin, user: User
) -> None:
    history = OnionskinHistory(onionskin, user, "s")
    await history.aadd_messages(
        [
            SystemMessage("Be brief."),
            HumanMessage("I live in <private>Lisbon</private> with Bo.", name="Ann"),
            AIMessage("", tool_calls=[{"name": "look", "args": {}, "id": "1"}]),
            ToolMessage("found", tool_call_id="1"),
            AIMessage("Noted."),
        ]
    )
    said, called, result, replied = await history.aget_messages()
    assert "Lisbon" not in said.text
    assert said.text.endswith("with Bo.")
    assert (said.name, called.text, result.text, replied.text) == ("Ann", "", "found", "Noted.")
    await history.aadd_messages([SystemMessage("Nothing said.")])
    assert len(await history.aget_messages()) == 4
    await history.aadd_messages([AIMessage("You live in Lisbon.")])
    assert "Lisbon" not in (await history.aget_messages())[-1].text


def _plain(messages: list[BaseMessage]) -> list[tuple[Any, ...]]:
    """What of messages comes back as it was stored."""
    return [
        (
            *(message.type, message.content, message.name),
            *(getattr(message, "tool_calls", None), getattr(message, "invalid_tool_calls", None)),
            getattr(message, "tool_call_id", None),
        )
        for message in messages
    ]


_CALL = {"name": "look", "args": {"where": "Gent", "far": [1, None]}, "id": "c1"}
_CONVERSATION: list[BaseMessage] = [
    HumanMessage("Look.", name="Ann"),
    HumanMessage("And listen."),
    AIMessage("I do.", tool_calls=[_CALL, {"name": "listen", "args": {}, "id": "c2"}]),
    ToolMessage("Rain.", tool_call_id="c1", name="look"),
    ToolMessage("Wind.", tool_call_id="c2", name="listen"),
    AIMessage("", tool_calls=[{**_CALL, "id": "c3"}], name="guide"),
    ToolMessage("Sun.", tool_call_id="c3", name="look"),
    AIMessage("Rain and wind."),
    HumanMessage("Pay."),
    AIMessage(
        "",
        invalid_tool_calls=[
            {"type": "invalid_tool_call", "name": "pay", "args": "{7", "id": "c4", "error": None}
        ],
    ),
    HumanMessage("Unanswered."),
]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 20])
async def test_calls_and_results_come_back_however_they_arrive(
    onionskin: Onionskin, user: User, size: int
) -> None:
    history = OnionskinHistory(onionskin, user, "s")
    for start in range(0, len(_CONVERSATION), size):
        await history.aadd_messages(_CONVERSATION[start : start + size])
    assert _plain(await history.aget_messages()) == _plain(_CONVERSATION)


async def test_calls_are_parts_of_answers_in_the_store(onionskin: Onionskin, user: User) -> None:
    await OnionskinHistory(onionskin, user, "s").aadd_messages(_CONVERSATION)
    session = await onionskin.store.sessions.get(user, external_session_id("s"))
    entries = await onionskin.store.transcripts.read_live(user, session)
    messages = [entry.message for entry in entries]
    assert [message.role for message in messages[:5]] == ["user"] * 2 + ["assistant"] * 3
    assert [call.name for call in messages[2].calls] == ["look", "listen"]
    assert [result.content for result in messages[3].results] == ["Rain.", "Wind."]


async def test_parts_are_separated_and_attachments_leave_a_mark(
    onionskin: Onionskin, user: User
) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    history = OnionskinHistory(onionskin, user, "s")
    parts = [{"type": "text", "text": "I live in Porto"}, {"type": "text", "text": "My dog barks"}]
    await history.aadd_messages(
        [
            HumanMessage(list[Any](parts)),
            AIMessage("Ok."),
            HumanMessage([image]),
            ChatMessage(content="A cat.", role="assistant"),
            HumanMessage("A summary.", additional_kwargs={"lc_source": "summarization"}),
            ChatMessage(content="Yes.", role="user"),
            AIMessage("<think>\nHm.\n</think>\nFine."),
        ]
    )
    assert [one.text for one in await history.aget_messages()] == [
        *("I live in Porto\nMy dog barks", "Ok.", "(see attachment)", "A cat.", "Yes.", "Fine.")
    ]


async def test_a_runnable_with_tools_sees_its_calls_again(onionskin: Onionskin, user: User) -> None:
    def answer(messages: list[BaseMessage]) -> list[BaseMessage]:
        return [
            AIMessage("", tool_calls=[{**_CALL, "id": f"c{len(messages)}"}]),
            ToolMessage("Rain.", tool_call_id=f"c{len(messages)}", name="look"),
            AIMessage(", ".join(message.type for message in messages)),
        ]

    def history(session_id: str) -> OnionskinHistory:
        return OnionskinHistory(onionskin, user, session_id)

    with pytest.warns(DeprecationWarning, match="RunnableWithMessageHistory"):
        runnable: Any = RunnableWithMessageHistory(RunnableLambda(answer), history)
    await runnable.ainvoke([HumanMessage("Look.")], _CONFIG)
    last = (await runnable.ainvoke([HumanMessage("Again.")], _CONFIG))[-1]
    assert last.text == "human, ai, tool, ai, human"


async def test_a_history_goes_on_after_its_session_was_closed_or_erased(
    onionskin: Onionskin, user: User
) -> None:
    history, session_id = OnionskinHistory(onionskin, user, "s"), external_session_id("s")
    await history.aadd_messages([HumanMessage("One."), AIMessage("Two.")])
    await onionskin.store.sessions.close(user, session_id)
    with pytest.raises(SessionClosedError):
        await onionskin.store.transcripts.load_turn(user, session_id, now=1.0, since=None)
    await history.aadd_messages([HumanMessage("Three.")])
    assert [one.text for one in await history.aget_messages()] == ["One.", "Two.", "Three."]
    assert (await onionskin.store.sessions.get(user, session_id)).title == "One."
    await onionskin.store.deletion.erase_user(user)
    await history.aclear()
    await history.aadd_messages([HumanMessage("Four.")])
    assert [one.text for one in await history.aget_messages()] == ["Four."]


async def test_what_is_due_is_left_to_a_worker(onionskin: Onionskin, user: User) -> None:
    agenda = TaskQueue(onionskin.store.connection)
    noting = replace(onionskin, task_queue=agenda)
    await noting.schedule(
        SummarizeTask(user, "s_1", "layered"),
        RecordAccessTask(user, ("m_1",), 1.0),
        EmbedTask(user),
    )
    await noting.schedule(EmbedTask(user))
    assert set((await agenda.fetch(9)).tasks) == {
        SummarizeTask(user, "s_1", "layered"),
        EmbedTask(user),
    }
