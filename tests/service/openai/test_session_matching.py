"""Which session a resent conversation goes on with: the rules of docs/openai.md."""

import json
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam as Param

from tests.service.conftest import Backend
from tests.service.openai.sdk_calls import (
    answer_of,
    ask,
    asked_last,
    from_assistant,
    from_user,
    transcripts,
)


def _talk(client: OpenAI, user: str, *texts: str) -> list[Param]:
    """A conversation as a front-end has it: its whole history, sent with each message."""
    history: list[Param] = []
    for text in texts:
        history.append(from_user(text))
        history.append(from_assistant(answer_of(client, user, *history)))
    return history


def _texts(*said: Param) -> list[str]:
    return [str(one.get("content")) for one in said]


def test_each_conversation_of_a_front_end_is_a_session(client: OpenAI, backend: Backend) -> None:
    one = _talk(client, "c1", "The first, of boats.", "Go on.")
    two = _talk(client, "c1", "The second, of bees.")
    one = [*one, from_user("Back to boats."), from_assistant("")]
    one[-1] = from_assistant(answer_of(client, "c1", *one[:-1]))
    assert transcripts(backend, "c1") == [_texts(*one), _texts(*two)]


def test_two_conversations_that_begin_alike_stay_two(client: OpenAI, backend: Backend) -> None:
    backend.model.reply = lambda _: "Hello!"
    ends = ("Of boats.", "Of bees.")
    for end in ends:
        _talk(client, "c2", "Hi.", end)
    stored = transcripts(backend, "c2")
    assert [one[2] for one in stored if len(one) == 4] == ["Of bees.", "Of boats."]


def test_an_edited_turn_forks_and_goes_on_there(client: OpenAI, backend: Backend) -> None:
    history = _talk(client, "c3", "One.", "Two.", "Three.")
    edited = [*history[:2], from_user("Two, but other.")]
    edited.append(from_assistant(answer_of(client, "c3", *edited)))
    edited.append(from_user("And on."))
    edited.append(from_assistant(answer_of(client, "c3", *edited)))
    assert transcripts(backend, "c3") == [_texts(*edited), _texts(*history)]


def test_an_answer_that_was_stopped_is_taken_up(client: OpenAI, backend: Backend) -> None:
    history = _talk(client, "c4", "One.")
    stopped = [*history, from_user("Tell me all."), from_assistant("It all beg")]
    stopped.append(from_user("Shorter, please."))
    stopped.append(from_assistant(answer_of(client, "c4", *stopped)))
    assert transcripts(backend, "c4") == [_texts(*stopped)]


def test_an_answer_that_the_client_changed_is_what_counts(client: OpenAI, backend: Backend) -> None:
    history = _talk(client, "c5", "One.", "Two.")
    changed = [*history[:3], from_assistant("What I would have said."), from_user("Three.")]
    changed.append(from_assistant(answer_of(client, "c5", *changed)))
    assert transcripts(backend, "c5") == [_texts(*changed), _texts(*history)]


def test_blanks_at_the_ends_of_messages_do_not_matter(client: OpenAI, backend: Backend) -> None:
    backend.model.reply = lambda _: "An answer.\n\n"
    _talk(client, "c6", "A question. ")
    trimmed = [from_user("A question."), from_assistant("An answer.")]
    ask(client, "c6", *trimmed, from_user("Another."))
    assert [len(one) for one in transcripts(backend, "c6")] == [4]


def test_a_closed_session_goes_on_as_its_copy(client: OpenAI, backend: Backend) -> None:
    history = _talk(client, "c7", "One.")
    session = backend.sessions("c7")[0]["session_id"]
    backend.client.post(f"/v1/users/c7/sessions/{session}/close").raise_for_status()
    history.append(from_user("Still there?"))
    history.append(from_assistant(answer_of(client, "c7", *history)))
    history.append(from_user("And now?"))
    history.append(from_assistant(answer_of(client, "c7", *history)))
    assert transcripts(backend, "c7") == [_texts(*history), _texts(*history[:2])]
    with pytest.raises(openai.ConflictError) as caught:
        ask(client, "c7", from_user("By name?"), extra_headers={"X-Session-Id": session})
    assert caught.value.code == "session_closed"


def test_a_client_that_names_the_session_and_edits_goes_on_in_the_fork(
    client: OpenAI, backend: Backend
) -> None:
    history = _talk(client, "c8", "One.", "Two.")
    named = {"X-Session-Id": backend.sessions("c8")[0]["session_id"]}
    edited = [*history[:2], from_user("Two, but other.")]
    edited.append(from_assistant(answer_of(client, "c8", *edited, extra_headers=named)))
    edited.append(from_user("On."))
    edited.append(from_assistant(answer_of(client, "c8", *edited, extra_headers=named)))
    assert transcripts(backend, "c8") == [_texts(*edited), _texts(*history)]


def test_pictures_and_calls_of_tools_in_a_history_are_recognised(
    client: OpenAI, backend: Backend
) -> None:
    picture: Any = {
        "role": "user",
        "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
    }
    first = answer_of(client, "c9", picture)
    call = {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
    tools: list[Any] = [
        {"role": "assistant", "content": "Let me look.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "noon"},
    ]
    history: list[Param] = [picture, from_assistant(first), from_user("How late is it?"), *tools]
    history.append(from_assistant(answer_of(client, "c9", *history)))
    ask(client, "c9", *history, from_user("Thanks."))
    (stored,) = transcripts(backend, "c9")
    assert stored[0] == "(see attachment)"
    assert stored[2] == "How late is it?"
    assert len(stored) == 6
    assert "Let me look." not in stored


def test_instructions_of_the_client_stand_first_and_are_not_stored(
    client: OpenAI, backend: Backend
) -> None:
    rule: Any = {"role": "system", "content": "Speak like a pirate."}
    ask(client, "c10", rule, from_user("Hello."))
    first = asked_last(backend)["messages"][0]
    assert first["role"] == "system"
    assert first["content"].startswith("Speak like a pirate.\n\nYou are a helpful assistant")
    assert "pirate" not in json.dumps(transcripts(backend, "c10"))


def test_a_name_that_is_no_session_is_refused(client: OpenAI, backend: Backend) -> None:
    history = _talk(client, "c11", "One.")
    for name in ("s_0123456789abcdef", "mine", "../c1"):
        with pytest.raises(openai.NotFoundError) as caught:
            ask(client, "c11", *history, from_user("?"), extra_headers={"X-Session-Id": name})
        assert caught.value.code == "unknown_session"
    ask(client, "c11", *history, from_user("?"), prompt_cache_key="a key of the cache alone")
    assert [len(one) for one in transcripts(backend, "c11")] == [4]


def test_a_conversation_of_long_ago_is_found_again(client: OpenAI, backend: Backend) -> None:
    history = _talk(client, "c12", "The oldest.")
    for number in range(12):
        _talk(client, "c12", f"Another, {number}.")
    ask(client, "c12", *history, from_user("Do you remember?"))
    stored = transcripts(backend, "c12")
    assert len(stored) == 13
    assert stored[0][0] == "The oldest."
    assert len(stored[0]) == 4
