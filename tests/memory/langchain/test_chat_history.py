"""The transcript as a chat message history, in LangChain's own runnable, sync and async."""

from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
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
    said, replied = await history.aget_messages()
    assert "Lisbon" not in said.text
    assert said.text.endswith("with Bo.")
    assert (said.name, replied.text) == ("Ann", "Noted.")
    await history.aadd_messages([SystemMessage("Nothing said.")])
    assert len(await history.aget_messages()) == 2


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
