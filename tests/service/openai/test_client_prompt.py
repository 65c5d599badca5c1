"""What the model gets of a conversation that the client sends, as the upstream receives it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.service.conftest import Backend, running_backend
from tests.service.openai.sdk_calls import answer_of, ask, asked_last, from_assistant, from_user

_PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
_CALL = {
    "id": "c1",
    "type": "function",
    "function": {"name": "book", "arguments": '{"to": "Gent"}'},
}
_FORMAT: dict[str, Any] = {"type": "json_object"}


def _sent(backend: Backend) -> list[dict[str, Any]]:
    return asked_last(backend)["messages"]


def _history() -> list[Any]:
    """A history with all that a role and a text cannot hold."""
    return [
        {"role": "developer", "content": "Speak like a pirate."},
        {
            "role": "user",
            "name": "alice",
            "content": [
                {"type": "text", "text": "Look.", "cache_control": {"type": "ephemeral"}},
                _PICTURE,
            ],
        },
        {
            "role": "assistant",
            "content": "A boat.",
            "reasoning_content": "It floats.",
            "reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}],
        },
        from_user("Find a flight."),
        {"role": "assistant", "content": None, "tool_calls": [_CALL], "audio": None},
        {"role": "tool", "tool_call_id": "c1", "content": "FLIGHT-ID-77", "name": "book"},
        {"role": "assistant", "content": "I found one.", "vendor_field": {"signature": "s"}},
    ]


@pytest.mark.parametrize("more", [{}, {"stream": True}, {"response_format": _FORMAT}])
def test_earlier_messages_reach_the_model_with_all_their_fields(
    client: OpenAI, backend: Backend, more: dict[str, Any]
) -> None:
    user = f"q1-{'-'.join(more)}"
    history = _history()
    backend.model.reply = lambda _: '{"done": true}'
    answer = ask(client, user, *history, from_user("Book it."), **more)
    if more.get("stream"):
        list(answer)
    first, *earlier, last = _sent(backend)
    assert first["role"] == "developer"
    assert first["content"].startswith("Speak like a pirate.\n\nYou are a helpful assistant")
    assert earlier == history[1:]
    assert last["content"].endswith("Book it.")


@pytest.mark.parametrize("stream", [False, True])
def test_reasoning_reaches_the_client_and_is_not_stored(
    client: OpenAI, backend: Backend, stream: bool
) -> None:
    user = f"q1r-{stream}"
    backend.model.answers.append({"content": "Gent.", "reasoning_content": "It said so."})
    reply = ask(client, user, from_user("Where is my flat?"), stream=stream)
    if stream:
        deltas = [one.choices[0].delta for one in reply if one.choices]
        reasoning = "".join(getattr(one, "reasoning_content", None) or "" for one in deltas)
        text = "".join(one.content or "" for one in deltas)
    else:
        message = reply.choices[0].message
        reasoning, text = message.reasoning_content, message.content
    assert (reasoning, text) == ("It said so.", "Gent.")
    assert backend.transcript(user) == ["Where is my flat?", "Gent."]


def test_what_the_client_shows_is_not_added_again(client: OpenAI, backend: Backend) -> None:
    backend.model.reply = lambda _: "Noted."
    history: list[Any] = []
    for text in ("My flat is in Gent.", "My dog is called Rex.", "I like tea."):
        history.append(from_user(text))
        history.append(from_assistant(answer_of(client, "q2", *history)))
    ask(client, "q2", *history, from_user("What is my dog called, and where is my flat?"))
    prompt = json.dumps(_sent(backend))
    assert prompt.count("My flat is in Gent.") == 1
    assert prompt.count("My dog is called Rex.") == 1
    assert "recalled_memory>" not in prompt.replace("<recalled_memory> was", "")


def test_other_sessions_are_recalled_beside_the_client_s_history(
    client: OpenAI, backend: Backend
) -> None:
    ask(client, "q3", from_user("My parrot is called Quixote."))
    history = [from_user("Good morning."), from_assistant("Good morning!")]
    ask(client, "q3", *history, from_user("What is my parrot called?"))
    first, *earlier, last = _sent(backend)
    assert earlier == history
    assert "My parrot is called Quixote." in first["content"] + last["content"]


def test_a_long_history_is_not_shortened(client: OpenAI, backend: Backend) -> None:
    code = "\n".join(f"line_{number} = {number}" for number in range(800))
    history = [from_user("Write it."), from_assistant(code)]
    ask(client, "q4", *history, from_user("Change the last line."))
    assert [one for one in _sent(backend) if one["content"] == code]
    assert backend.transcript("q4")[1] == code


def test_the_parts_of_the_message_stay_as_they_are(client: OpenAI, backend: Backend) -> None:
    parts: list[Any] = [
        {"type": "text", "text": "First.", "cache_control": {"type": "ephemeral"}},
        _PICTURE,
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "text", "text": "Last."},
    ]
    ask(client, "q5", {"role": "user", "name": "alice", "content": parts})
    message = _sent(backend)[-1]
    assert message["name"] == "alice"
    assert message["content"][1:] == parts
    assert message["content"][0]["text"].endswith("The message to answer:")
    assert backend.transcript("q5")[0] == "First.\nLast."


def test_the_beginning_of_an_answer_is_continued_and_stored_with_it(
    client: OpenAI, backend: Backend
) -> None:
    backend.model.reply = lambda _: " of Rex."
    begun = from_assistant("Once upon a time,")
    reply = answer_of(client, "q6", from_user("Tell me a story."), begun)
    assert reply == " of Rex."
    assert _sent(backend)[-1] == begun
    assert backend.transcript("q6") == ["Tell me a story.", "Once upon a time, of Rex."]
    backend.model.reply = lambda _: "Once upon a time, of Max."
    ask(client, "q7", from_user("Tell me a story."), begun)
    assert backend.transcript("q7")[1] == "Once upon a time, of Max."


def test_a_profile_without_memory_passes_the_conversation_on(
    client: OpenAI, backend: Backend
) -> None:
    said: list[Any] = [
        {"role": "system", "content": "Be brief."},
        from_user("Hi."),
        from_assistant("Hi!"),
    ]
    said.append(from_user("Go on."))
    ask(client, "q8", *said, model="none")
    assert _sent(backend) == said


def test_private_text_of_earlier_messages_is_not_shown_again(
    client: OpenAI, backend: Backend
) -> None:
    history = [from_user("My pin is <private>4711</private>."), from_assistant("Noted.")]
    ask(client, "q9", *history, from_user("And now <private>4712</private>?"))
    prompt = json.dumps(_sent(backend))
    assert "4711" not in prompt
    assert "4712" in prompt
    assert "471" not in json.dumps(backend.transcript("q9"))


@pytest.fixture(scope="module")
def limited(
    backend: Backend, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Backend, OpenAI]]:
    """A service whose profile limits what the model sees of a client's history."""
    folder = tmp_path_factory.mktemp("limited")
    profiles: Path = folder / "profiles.toml"
    profiles.write_text(
        '[profiles.short]\nlayers = ["window"]\nclient_history = "window"\n'
        "window = { keep_pairs = 1 }\n"
    )
    with (
        running_backend(backend.model, folder / "data", ONIONSKIN_PROFILES=str(profiles)) as found,
        OpenAI(base_url=f"{found.service.url}/v1", api_key="any", max_retries=0) as client,
    ):
        yield found, client


def test_a_profile_can_limit_the_history_to_its_window(
    limited: tuple[Backend, OpenAI],
) -> None:
    backend, client = limited
    history: list[Any] = [{"role": "system", "content": "Be brief."}]
    for text in ("One.", "Two.", "Three."):
        history.append(from_user(text))
        history.append(from_assistant(answer_of(client, "w1", *history, model="short")))
    ask(client, "w1", *history, from_user("Four."), model="short")
    system, *earlier, last = _sent(backend)
    assert system["content"].startswith("Be brief.")
    assert [one["content"] for one in earlier] == ["Three.", history[-1]["content"]]
    assert last["content"].endswith("Four.")
    assert len(backend.transcript("w1")) == 8


def test_a_client_that_sends_the_end_gets_what_precedes_it(
    client: OpenAI, backend: Backend
) -> None:
    history: list[Any] = []
    for text in ("My flat is in Gent.", "I like tea.", "I play chess."):
        history.append(from_user(text))
        history.append(from_assistant(answer_of(client, "w2", *history)))
    ask(client, "w2", *history[-2:], from_user("Where is my flat?"))
    contents = [str(one["content"]) for one in _sent(backend)]
    assert contents[1:-1] == [str(one["content"]) for one in history]
    assert len(backend.sessions("w2")) == 1
