"""The offline model quotes, says that it is offline, and summarizes by extraction."""

from langchain_core.messages import HumanMessage, SystemMessage

from onionskin.chains.models.offline import NOTICE, OfflineChatModel
from onionskin.chains.prompt import INSTRUCTIONS, MESSAGE_FOLLOWS, RECALLED
from onionskin.chains.quoting import fenced, quoted_line
from onionskin.chains.summarizer import summary_prompt
from onionskin.memory.types.messages import Entry, Message


def _entry(text: str, role: str = "user") -> Entry:
    return Entry("s_1", 0, Message("user" if role == "user" else "assistant", text, 0.0))


def _prompt(question: str, *recalled: str) -> list[SystemMessage | HumanMessage]:
    block = fenced(RECALLED, [quoted_line(_entry(text)) for text in recalled])
    return [
        SystemMessage(INSTRUCTIONS),
        HumanMessage(f"{block}\n\n{MESSAGE_FOLLOWS}\n{question}"),
    ]


async def test_it_quotes_the_line_that_answers() -> None:
    prompt = _prompt("What is my dog called?", "I like tea.", "My dog is called Biscuit.")
    reply = await OfflineChatModel().ainvoke(prompt)
    assert '"My dog is called Biscuit."' in str(reply.text)
    assert "tea" not in str(reply.text)
    assert NOTICE in str(reply.text)
    assert reply.usage_metadata
    assert reply.usage_metadata["total_tokens"] > 0


async def test_a_question_that_was_asked_before_is_no_answer() -> None:
    prompt = _prompt("What is my dog called?", "What is my dog called?", "Is my dog old? Maybe.")
    reply = str((await OfflineChatModel().ainvoke(prompt)).text)
    assert "What is my dog called?" not in reply
    assert "Is my dog old? Maybe." in reply


async def test_it_accepts_tools_and_calls_none() -> None:
    def weather(city: str) -> str:
        """The weather in a city."""
        return city

    reply = await OfflineChatModel().bind_tools([weather]).ainvoke("How is the weather in Porto?")
    assert reply.tool_calls == []


async def test_it_is_deterministic_and_streams_the_same() -> None:
    prompt = _prompt("What is my dog called?", "My dog is called Biscuit.")
    model = OfflineChatModel()
    whole = str((await model.ainvoke(prompt)).text)
    assert "".join([str(piece.text) async for piece in model.astream(prompt)]) == whole


async def test_it_invents_nothing() -> None:
    reply = await OfflineChatModel().ainvoke(_prompt("What is my cat called?", "I like tea."))
    assert str(reply.text).startswith("Nothing that I remember")
    reply = await OfflineChatModel().ainvoke(_prompt("I moved to Oslo."))
    assert str(reply.text).startswith("Noted.")


async def test_it_summarizes_by_extraction() -> None:
    lines = [_entry("I was born in Lima."), _entry(f"Noted. {NOTICE}", "assistant")]
    prompt = summary_prompt("user: I like tea.", lines, 800)
    summary = str((await OfflineChatModel().ainvoke(prompt)).text)
    assert summary.splitlines() == ["user: I like tea.", "user: I was born in Lima."]
