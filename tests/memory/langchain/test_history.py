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

from memory.due import EmbedDue, FoldDue, UseDue
from memory.errors import SessionClosedError
from memory.langchain.history import StrataHistory
from memory.langchain.named import session_named
from memory.langchain.opening import Strata
from memory.store.agenda import Agenda
from memory.store.erasing import erase_user
from memory.store.reading import get_session
from memory.types import User


def _count(messages: list[BaseMessage]) -> AIMessage:
    return AIMessage(f"{len(messages)} messages, the first {messages[0].text!r}.")


def _runnable(strata: Strata, user: User) -> Any:
    def history(session_id: str) -> StrataHistory:
        return StrataHistory(strata, user, session_id)

    with pytest.warns(DeprecationWarning, match="RunnableWithMessageHistory"):
        return RunnableWithMessageHistory(RunnableLambda(_count), history)


_CONFIG: RunnableConfig = {"configurable": {"session_id": "any name: {of} mine"}}


def test_a_runnable_goes_on_without_an_event_loop(waiting: Strata, user: User) -> None:
    runnable = _runnable(waiting, user)
    runnable.invoke([HumanMessage("Hello.")], _CONFIG)
    answer = runnable.invoke([HumanMessage("And now?")], _CONFIG)
    assert answer.text == "3 messages, the first 'Hello.'."
    history = StrataHistory(waiting, user, "any name: {of} mine")
    assert [one.type for one in history.messages] == ["human", "ai"] * 2
    history.clear()
    assert history.messages == []


async def test_a_runnable_goes_on_in_an_event_loop(strata: Strata, user: User) -> None:
    await _runnable(strata, user).ainvoke([HumanMessage("Hello.")], _CONFIG)
    answer = await _runnable(strata, user).ainvoke([HumanMessage("And now?")], _CONFIG)
    assert answer.text == "3 messages, the first 'Hello.'."
    other = StrataHistory(strata, User("bob"), "any name: {of} mine")
    assert await other.aget_messages() == []


async def test_what_is_not_said_and_what_is_private_is_left_out(strata: Strata, user: User) -> None:
    history = StrataHistory(strata, user, "s")
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
    strata: Strata, user: User
) -> None:
    history, session_id = StrataHistory(strata, user, "s"), session_named("s")
    await history.aadd_messages([HumanMessage("One."), AIMessage("Two.")])
    await strata.store.close(user, session_id)
    with pytest.raises(SessionClosedError):
        await strata.store.snapshot(user, session_id, now=1.0, view=None)
    await history.aadd_messages([HumanMessage("Three.")])
    assert [one.text for one in await history.aget_messages()] == ["One.", "Two.", "Three."]
    assert (await get_session(strata.store, user, session_id)).title == "One."
    await erase_user(strata.store, user)
    await history.aclear()
    await history.aadd_messages([HumanMessage("Four.")])
    assert [one.text for one in await history.aget_messages()] == ["Four."]


async def test_what_is_due_is_left_to_a_worker(strata: Strata, user: User) -> None:
    agenda = Agenda(strata.store.connection)
    noting = replace(strata, agenda=agenda)
    await noting.leave(FoldDue(user, "s_1", "layered"), UseDue(user, ("m_1",), 1.0), EmbedDue(user))
    await noting.leave(EmbedDue(user))
    assert set((await agenda.take(9)).dues) == {FoldDue(user, "s_1", "layered"), EmbedDue(user)}
