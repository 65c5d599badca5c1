"""Any OpenAI client, with a memory: the official SDK against the running service."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam as Param

from tests.openai_faults import Fault
from tests.service.conftest import Backend


@pytest.fixture
def client(backend: Backend) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{backend.service.url}/v1", api_key="any", max_retries=0) as found:
        yield found


def _ask(client: OpenAI, user: str, *said: Param, **more: Any) -> Any:
    create: Any = client.chat.completions.create
    return create(**{"model": "layered", "user": user, "messages": list(said), **more})


def _user(text: str) -> Param:
    return {"role": "user", "content": text}


def _assistant(text: str) -> Param:
    return {"role": "assistant", "content": text}


def _prompt(backend: Backend) -> str:
    return json.dumps(backend.model.requests[-1].body["messages"], ensure_ascii=False)


def test_profiles_are_models(client: OpenAI) -> None:
    models = [one.id for one in client.models.list()]
    assert {"layered", "window", "none"} <= set(models)
    assert client.models.retrieve("layered").owned_by == "strata"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt-9")
    assert caught.value.code == "model_not_found"


def test_what_was_said_in_another_conversation_is_remembered(
    client: OpenAI, backend: Backend
) -> None:
    answer = _ask(client, "o1", _user("My locker has the number 4711."))
    assert answer.object == "chat.completion"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    _ask(client, "o1", _user("Which number has my locker?"))
    assert "4711" in _prompt(backend)
    assert len(backend.sessions("o1")) == 2
    _ask(client, "o1-other", _user("Which number has my locker?"))
    assert "4711" not in _prompt(backend)


def test_a_stream_says_the_same_and_its_usage(client: OpenAI, backend: Backend) -> None:
    backend.model.reply = lambda _: "one two three"
    options = {"include_usage": True}
    stream = _ask(client, "o2", _user("Count."), stream=True, stream_options=options)
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
        history.append(_user(f"Message {number}."))
        reply = _ask(client, "o3", *history).choices[0].message.content
        history.append(_assistant(reply))
    assert len(backend.sessions("o3")) == 1
    assert backend.transcript("o3") == [str(one.get("content")) for one in history[1:]]
    assert "Speak like a pirate." in _prompt(backend)
    assert "pirate" not in "".join(backend.transcript("o3"))
    tail = [*history[-4:], _user("And only the tail.")]
    _ask(client, "o3", *tail)
    assert len(backend.sessions("o3")) == 1


def test_a_regenerated_or_edited_turn_forks(client: OpenAI, backend: Backend) -> None:
    first = _ask(client, "o4", _user("Name a colour.")).choices[0].message.content
    known = [_user("Name a colour."), _assistant(first)]
    _ask(client, "o4", *known, _user("Another."))
    _ask(client, "o4", *known, _user("Another."))
    _ask(client, "o4", *known, _user("A shape instead."))
    sessions = backend.sessions("o4")
    assert sorted(one["messages"] for one in sessions) == [4, 4, 4]
    assert sorted(backend.transcript("o4")).count("Name a colour.") == 3


def test_a_conversation_from_elsewhere_is_taken_up_once(client: OpenAI, backend: Backend) -> None:
    before = [_user("I sold the boat."), _assistant("To whom?")]
    answer = _ask(client, "o5", *before, _user("To Bo.")).choices[0].message.content
    _ask(client, "o5", *before, _user("To Bo."), _assistant(answer), _user("She was glad."))
    (session,) = backend.sessions("o5")
    assert session["messages"] == 6


def test_a_named_session_goes_on_without_a_history(client: OpenAI, backend: Backend) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="layered", user="o6", messages=[_user("Hello.")]
    )
    session_id = raw.headers["X-Session-Id"]
    assert raw.headers["X-Turn-Id"] == f"{session_id}.0"
    _ask(client, "o6", _user("By header."), extra_headers={"X-Session-Id": session_id})
    _ask(client, "o6", _user("By metadata."), metadata={"session_id": session_id})
    _ask(client, "o6", _user("By key."), prompt_cache_key=session_id)
    (session,) = backend.sessions("o6")
    assert session["messages"] == 8
    with pytest.raises(openai.NotFoundError):
        _ask(client, "o6-other", _user("Mine?"), metadata={"session_id": session_id})


def test_tools_and_pictures_are_passed_through(client: OpenAI, backend: Backend) -> None:
    tool = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    content = [{"type": "text", "text": "What is on it?"}, picture]
    said: Any = {"role": "user", "content": content}
    _ask(client, "o7", said, tools=[tool], temperature=0.3, max_tokens=50)
    body = backend.model.requests[-1].body
    assert body["tools"][0]["function"]["name"] == "clock"
    assert body["temperature"] == 0.3
    assert picture in body["messages"][-1]["content"]
    assert backend.transcript("o7")[0] == "What is on it?"


def test_a_turn_with_tools_is_stored_once_it_is_answered(client: OpenAI, backend: Backend) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
    said: list[Any] = [
        _user("How late is it?"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "noon"},
    ]
    backend.model.reply = lambda _: "It is noon."
    _ask(client, "o8", *said)
    roles = [one["role"] for one in backend.model.requests[-1].body["messages"]]
    assert roles[-3:] == ["user", "assistant", "tool"]
    assert backend.transcript("o8") == ["How late is it?", "It is noon."]


@pytest.mark.parametrize(
    "more",
    [
        {"messages": "### Task:\nGenerate tags.\n<chat_history>\nUSER: hi\n</chat_history>"},
        {"messages": "Provide a concise, 5-word-or-less title for the conversation, using it."},
        {"messages": "Anything.", "metadata": {"task": "title_generation"}},
        {"messages": "Anything.", "extra_headers": {"X-Strata-Remember": "false"}},
    ],
)
def test_jobs_of_front_ends_are_answered_and_not_remembered(
    client: OpenAI, backend: Backend, more: dict[str, Any]
) -> None:
    text = more.pop("messages") if "messages" in more else ""
    answer = _ask(client, "o9", _user(text), **more)
    assert answer.choices[0].message.content
    assert backend.sessions("o9") == []
    assert len(backend.model.requests[-1].body["messages"]) == 1


def test_errors_have_openais_shape(client: OpenAI, backend: Backend) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        _ask(client, "o10", _user("Hi."), model="gpt-9")
    assert unknown.value.code == "model_not_found"
    for said, more in (
        ([], {}),
        ([_assistant("Only me.")], {}),
        ([_user("Hi."), _assistant("Hello.")], {}),
        ([_user("Hi.")], {"n": 2}),
        ([_user(" ")], {}),
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            _ask(client, "o10", *said, **more)
        assert caught.value.type == "invalid_request_error"
    plain = backend.client.post(
        "/v1/chat/completions", json={"model": "layered", "messages": [_user("Hi.")]}
    )
    assert plain.status_code == 400
    assert "user" in plain.json()["error"]["message"]
    assert backend.sessions("o10") == []


@pytest.mark.parametrize("stream", [True, False])
def test_a_retry_after_a_lost_answer_stores_one_turn(backend: Backend, *, stream: bool) -> None:
    user, rounds = f"o11-{stream}", 25
    asked = len(backend.model.requests)
    for number in range(rounds):
        first = _try(backend, user, f"Turn {number}.", retry=0, stream=stream)
        second = _try(backend, user, f"Turn {number}.", retry=1, stream=stream)
        assert (first.status_code, second.status_code) == (200, 200)
        if not stream:
            said = [one.json()["choices"][0]["message"]["content"] for one in (first, second)]
            assert said[0] == said[1]
    assert len(backend.transcript(user)) == 2 * rounds
    assert _answers(backend, asked) == rounds


def test_a_retry_waits_for_the_try_that_is_under_way(backend: Backend) -> None:
    asked = len(backend.model.requests)
    backend.model.faults.append(Fault(delay=timedelta(seconds=0.5), purpose="completions"))
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(_try, backend, "o12", "Slow.", retry=0)
        time.sleep(0.2)
        others = [pool.submit(_try, backend, "o12", "Slow.", retry=n) for n in (1, 2)]
        answers = [one.result().json()["choices"][0]["message"] for one in (first, *others)]
    assert answers[0] == answers[1] == answers[2]
    assert len(backend.transcript("o12")) == 2
    assert _answers(backend, asked) == 1


def test_a_retry_after_a_failure_asks_anew(backend: Backend) -> None:
    backend.model.faults.append(Fault(status=500, purpose="completions"))
    assert _try(backend, "o13", "Hello.", retry=0).status_code == 502
    assert _try(backend, "o13", "Hello.", retry=1).is_success
    assert len(backend.transcript("o13")) == 2


def _try(
    backend: Backend, user: str, text: str, *, retry: int, stream: bool = False
) -> httpx.Response:
    body = {"model": "layered", "user": user, "messages": [_user(text)], "stream": stream}
    headers = {"x-stainless-retry-count": str(retry)}
    return backend.client.post("/v1/chat/completions", json=body, headers=headers)


def _answers(backend: Backend, since: int) -> int:
    """How often the model was asked for an answer; summaries of sessions are none."""
    prompts = [json.dumps(one.body) for one in backend.model.requests[since:]]
    return sum("new_lines" not in prompt for prompt in prompts)
