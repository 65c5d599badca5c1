"""Any OpenAI client, with a memory: the official SDK against the running service."""

import json
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam as Param

from tests.service.conftest import Backend
from tests.service.openai.sdk_calls import ask, asked_last, from_assistant, from_user


def _prompt(backend: Backend) -> str:
    return json.dumps(asked_last(backend)["messages"], ensure_ascii=False)


def test_profiles_are_models(client: OpenAI) -> None:
    models = [one.id for one in client.models.list()]
    assert {"layered", "window", "none"} <= set(models)
    assert client.models.retrieve("layered").owned_by == "onionskin"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt-9")
    assert caught.value.code == "model_not_found"


def test_what_was_said_in_another_conversation_is_remembered(
    client: OpenAI, backend: Backend
) -> None:
    answer = ask(client, "o1", from_user("My locker has the number 4711."))
    assert answer.object == "chat.completion"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    ask(client, "o1", from_user("Which number has my locker?"))
    assert "4711" in _prompt(backend)
    assert len(backend.sessions("o1")) == 2
    ask(client, "o1-other", from_user("Which number has my locker?"))
    assert "4711" not in _prompt(backend)


def test_a_stream_says_the_same_and_its_usage(client: OpenAI, backend: Backend) -> None:
    backend.model.reply = lambda _: "one two three"
    options = {"include_usage": True}
    stream = ask(client, "o2", from_user("Count."), stream=True, stream_options=options)
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "one two three"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens > 0
    assert len({c.id for c in chunks}) == 1
    assert backend.transcript("o2") == ["Count.", "one two three"]


def test_a_resent_history_is_recognised_and_not_stored_twice(
    client: OpenAI, backend: Backend
) -> None:
    history: list[Param] = [{"role": "system", "content": "Speak like a pirate."}]
    for number in range(5):
        history.append(from_user(f"Message {number}."))
        reply = ask(client, "o3", *history).choices[0].message.content
        history.append(from_assistant(reply))
    assert len(backend.sessions("o3")) == 1
    assert backend.transcript("o3") == [str(one.get("content")) for one in history[1:]]
    assert "Speak like a pirate." in _prompt(backend)
    assert "pirate" not in "".join(backend.transcript("o3"))
    tail = [*history[-4:], from_user("And only the tail.")]
    ask(client, "o3", *tail)
    assert len(backend.sessions("o3")) == 1


def test_a_regenerated_or_edited_turn_replaces_the_one_before(
    client: OpenAI, backend: Backend
) -> None:
    first = ask(client, "o4", from_user("Name a colour.")).choices[0].message.content
    known = [from_user("Name a colour."), from_assistant(first)]
    ask(client, "o4", *known, from_user("Another."))
    ask(client, "o4", *known, from_user("Another."))
    last = ask(client, "o4", *known, from_user("A shape instead."))
    (session,) = backend.sessions("o4")
    assert session["messages"] == 4
    answer = last.choices[0].message.content
    assert backend.transcript("o4") == ["Name a colour.", first, "A shape instead.", answer]


def test_a_conversation_from_elsewhere_is_taken_up_once(client: OpenAI, backend: Backend) -> None:
    before = [from_user("I sold the boat."), from_assistant("To whom?")]
    answer = ask(client, "o5", *before, from_user("To Bo.")).choices[0].message.content
    ask(
        client,
        "o5",
        *before,
        from_user("To Bo."),
        from_assistant(answer),
        from_user("She was glad."),
    )
    (session,) = backend.sessions("o5")
    assert session["messages"] == 6


def test_a_named_session_goes_on_without_a_history(client: OpenAI, backend: Backend) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="layered", user="o6", messages=[from_user("Hello.")]
    )
    session_id = raw.headers["X-Session-Id"]
    assert raw.headers["X-Turn-Id"] == f"{session_id}.0"
    ask(client, "o6", from_user("By header."), extra_headers={"X-Session-Id": session_id})
    ask(client, "o6", from_user("By metadata."), metadata={"session_id": session_id})
    ask(client, "o6", from_user("By key."), prompt_cache_key=session_id)
    (session,) = backend.sessions("o6")
    assert session["messages"] == 8
    with pytest.raises(openai.NotFoundError):
        ask(client, "o6-other", from_user("Mine?"), metadata={"session_id": session_id})


def test_tools_and_pictures_are_passed_through(client: OpenAI, backend: Backend) -> None:
    tool = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    content = [{"type": "text", "text": "What is on it?"}, picture]
    said: Any = {"role": "user", "content": content}
    ask(client, "o7", said, tools=[tool], temperature=0.3, max_tokens=50)
    body = asked_last(backend)
    assert body["tools"][0]["function"]["name"] == "clock"
    assert body["temperature"] == 0.3
    assert picture in body["messages"][-1]["content"]
    assert backend.transcript("o7")[0] == "What is on it?"


def test_a_turn_with_tools_is_stored_with_its_calls(client: OpenAI, backend: Backend) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
    said: list[Any] = [
        from_user("How late is it?"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "noon"},
    ]
    backend.model.reply = lambda _: "It is noon."
    ask(client, "o8", *said)
    roles = [one["role"] for one in asked_last(backend)["messages"]]
    assert roles[-3:] == ["user", "assistant", "tool"]
    assert backend.transcript("o8") == ["How late is it?", "", "It is noon."]


def test_errors_have_openais_shape(client: OpenAI, backend: Backend) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        ask(client, "o10", from_user("Hi."), model="gpt-9")
    assert unknown.value.code == "model_not_found"
    for said, more in (
        ([], {}),
        ([from_assistant("Only me.")], {}),
        ([from_user("Hi.")], {"n": 2}),
        ([from_user(" ")], {}),
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            ask(client, "o10", *said, **more)
        assert caught.value.type == "invalid_request_error"
    plain = backend.client.post(
        "/v1/chat/completions", json={"model": "layered", "messages": [from_user("Hi.")]}
    )
    assert plain.status_code == 400
    assert "user" in plain.json()["error"]["message"]
    assert backend.sessions("o10") == []
