"""Turns that end in calls of tools, in a refusal or in the middle: stored on the first request."""

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from openai import OpenAI

from tests.openai_faults import Fault
from tests.service.conftest import Backend
from tests.service.openai.sdk_calls import (
    answer_of,
    ask,
    asked_last,
    from_assistant,
    from_user,
    transcripts,
)

_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "Parrot", "parameters": {"type": "object"}},
}
_FORCED: dict[str, Any] = {
    "tools": [_TOOL],
    "tool_choice": {"type": "function", "function": {"name": "Parrot"}},
}


def _call(arguments: str = '{"name": "Quixote"}', id_: str = "c1", name: str = "Parrot") -> Any:
    function = {"name": name, "arguments": arguments}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": id_, "type": "function", "function": function}],
    }


def _result(content: str, id_: str = "c1") -> Any:
    return {"role": "tool", "tool_call_id": id_, "content": content}


def _stored(backend: Backend, user: str) -> list[dict[str, Any]]:
    (session,) = backend.sessions(user)
    url = f"/v1/users/{user}/sessions/{session['session_id']}/messages"
    return backend.client.get(url).json()["messages"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_forced_tool_is_remembered_on_the_first_request(
    client: OpenAI, backend: Backend, stream: bool
) -> None:
    user = f"t1-{stream}"
    backend.model.answers.append(_call())
    raw = client.chat.completions.with_raw_response.create(
        model="layered",
        user=user,
        messages=[from_user("My parrot is called Quixote.")],
        stream=stream,
        **_FORCED,
    )
    reply: Any = raw.parse()
    if stream:
        chunks = list(reply)
        calls = [call for one in chunks for call in one.choices[0].delta.tool_calls or ()]
        arguments = "".join(call.function.arguments for call in calls)
        assert chunks[-1].choices[0].finish_reason == "tool_calls"
    else:
        arguments = reply.choices[0].message.tool_calls[0].function.arguments
        assert reply.choices[0].finish_reason == "tool_calls"
    assert json.loads(arguments) == {"name": "Quixote"}
    said, answer = _stored(backend, user)
    assert said["content"] == "My parrot is called Quixote."
    assert [call["name"] for call in answer["calls"]] == ["Parrot"]
    session_id = backend.sessions(user)[0]["session_id"]
    assert raw.headers["X-Session-Id"] == session_id
    ask(client, user, from_user("What is my parrot called?"))
    assert "Quixote" in json.dumps(asked_last(backend)["messages"])


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_the_result_of_a_tool_continues_the_turn(
    client: OpenAI, backend: Backend, named: bool, stream: bool
) -> None:
    user = f"t2-{named}-{stream}"
    said = from_user("Find a flight.")
    backend.model.answers.append(_call('{"to": "Gent"}', name="find"))
    ask(client, user, said, tools=[_TOOL])
    headers: dict[str, str] = {}
    if named:
        headers["X-Session-Id"] = backend.sessions(user)[0]["session_id"]
    backend.model.reply = lambda _: "I found one."
    tail = [_call('{"to": "Gent"}', name="find"), _result("FLIGHT-ID-77")]
    reply = ask(client, user, said, *tail, tools=[_TOOL], stream=stream, extra_headers=headers)
    if stream:
        list(reply)
    stored = _stored(backend, user)
    assert [one["content"] for one in stored] == ["Find a flight.", "", "I found one."]
    assert [one["content"] for one in stored[2]["results"]] == ["FLIGHT-ID-77"]
    history = [said, *tail, from_assistant("I found one."), from_user("Book it.")]
    ask(client, user, *history)
    assert asked_last(backend)["messages"][2:4] == tail
    assert json.dumps(asked_last(backend)["messages"]).count("FLIGHT-ID-77") == 1
    assert len(_stored(backend, user)) == 5


def test_a_turn_with_several_rounds_of_tools_is_one_turn(client: OpenAI, backend: Backend) -> None:
    talk: list[Any] = [from_user("Good morning.")]
    talk.append(from_assistant(answer_of(client, "t3", *talk)))
    talk.append(from_user("Find a flight and book it."))
    for number in range(3):
        call = _call(f'{{"step": {number}}}', f"c{number}")
        backend.model.answers.append(call)
        ask(client, "t3", *talk, tools=[_TOOL])
        talk += [call, _result(f"done {number}", f"c{number}")]
    backend.model.reply = lambda _: "All done."
    ask(client, "t3", *talk, tools=[_TOOL])
    stored = _stored(backend, "t3")
    assert [one["content"] for one in stored][3:] == ["", "", "", "All done."]
    assert stored[6]["results"][0]["content"] == "done 2"
    backend.model.reply = lambda _: "Really done."  # the last answer, regenerated
    ask(client, "t3", *talk, tools=[_TOOL])
    assert [one["content"] for one in _stored(backend, "t3")][3:] == ["", "", "", "Really done."]


def test_a_tool_turn_that_was_never_stored_is_stored_as_a_whole(
    client: OpenAI, backend: Backend
) -> None:
    backend.model.reply = lambda _: "I found one."
    ask(client, "t4", from_user("Find a flight."), _call(), _result("FLIGHT-ID-77"), tools=[_TOOL])
    stored = _stored(backend, "t4")
    assert [one["content"] for one in stored] == ["Find a flight.", "", "I found one."]
    assert stored[1]["calls"][0]["name"] == "Parrot"
    assert stored[2]["results"][0]["content"] == "FLIGHT-ID-77"


def test_a_message_after_a_forced_tool_continues_the_session(
    client: OpenAI, backend: Backend
) -> None:
    said = from_user("My parrot is called Quixote.")
    backend.model.answers.append(_call())
    ask(client, "t5", said, **_FORCED)
    backend.model.answers.append(_call('{"name": "Sancho"}', "c2"))
    history = [said, _call(), _result("ok"), from_user("And the other Sancho.")]
    ask(client, "t5", *history, **_FORCED)
    stored = _stored(backend, "t5")
    assert [one["role"] for one in stored] == ["user", "assistant"] * 2
    assert stored[2]["content"] == "And the other Sancho."


def test_a_retry_of_instructor_with_tools_continues_the_turn(
    client: OpenAI, backend: Backend
) -> None:
    said, bad = from_user("My parrot is called Quixote."), _call('{"name": 1}')
    error = "Validation Error found:\nname\nRecall the function correctly, fix the errors"
    backend.model.answers.append(bad)
    ask(client, "t6", said, **_FORCED)
    backend.model.answers.append(_call(id_="c2"))
    ask(client, "t6", said, bad, _result(error), **_FORCED)
    stored = _stored(backend, "t6")
    assert [one["role"] for one in stored] == ["user", "assistant", "assistant"]
    assert json.loads(stored[2]["calls"][0]["arguments"]) == {"name": "Quixote"}


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_comes_back_as_one_and_is_stored(
    client: OpenAI, backend: Backend, stream: bool
) -> None:
    user, refusal = f"t7-{stream}", "I cannot help with that."
    backend.model.answers.append({"role": "assistant", "content": None, "refusal": refusal})
    reply = ask(client, user, from_user("Pick this lock."), stream=stream)
    if stream:
        chunks = list(reply)
        assert "".join(c.choices[0].delta.refusal or "" for c in chunks if c.choices) == refusal
        assert not "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    else:
        assert reply.choices[0].message.refusal == refusal
        assert reply.choices[0].message.content is None
    said, answer = _stored(backend, user)
    assert said["content"] == "Pick this lock."
    assert answer["refused"]


def test_arguments_that_are_no_json_reach_the_client(client: OpenAI, backend: Backend) -> None:
    backend.model.answers.append(_call('{"name": '))
    reply = ask(client, "t8", from_user("My parrot is called Quixote."), **_FORCED)
    assert reply.choices[0].message.tool_calls[0].function.arguments == '{"name": '
    assert _stored(backend, "t8")[1]["calls"][0]["arguments"] == '{"name": '


def test_a_client_that_leaves_mid_stream_is_remembered(client: OpenAI, backend: Backend) -> None:
    backend.model.reply = lambda _: "one two three four five six seven eight"
    backend.model.faults.append(
        Fault(token_delay=timedelta(milliseconds=200), purpose="completions")
    )
    body = {
        "model": "layered",
        "user": "t9",
        "stream": True,
        "messages": [from_user("My dog is called Rex.")],
    }
    with httpx.stream(
        "POST", f"{backend.service.url}/v1/chat/completions", json=body, timeout=30
    ) as response:
        next(line for line in response.iter_lines() if "one" in line)
    answer = answer_of(client, "t9", from_user("My dog is called Rex."))
    assert [one for one in transcripts(backend, "t9") if answer in one]
    assert json.dumps(transcripts(backend, "t9")).count("My dog is called Rex.") == 1


@pytest.mark.parametrize("stream", [False, True])
def test_what_was_said_survives_a_failing_model(
    client: OpenAI, backend: Backend, stream: bool
) -> None:
    user = f"t10-{stream}"
    backend.model.faults.append(Fault(status=500, purpose="completions"))
    body = {"model": "layered", "user": user, "messages": [from_user("My dog is called Rex.")]}
    answer = backend.client.post("/v1/chat/completions", json={**body, "stream": stream})
    assert answer.status_code == 502
    assert transcripts(backend, user) == [["My dog is called Rex."]]
    ask(client, user, from_user("What is my dog called?"))
    assert "Rex" in json.dumps(asked_last(backend)["messages"])


@pytest.mark.parametrize("stream", [False, True])
def test_a_lost_call_of_a_tool_is_replayed(backend: Backend, stream: bool) -> None:
    body = {
        "model": "layered",
        "user": f"t11-{stream}",
        "stream": stream,
        "messages": [from_user("My parrot is called Quixote.")],
        **_FORCED,
    }
    backend.model.answers.append(_call())
    headers = {"Idempotency-Key": f"lost-{stream}"}
    before = len(backend.model.requests)
    for _ in range(2):
        answer = backend.client.post("/v1/chat/completions", json=body, headers=headers)
        assert "Quixote" in answer.text
        assert '"tool_calls"' in answer.text
    asked = [one for one in backend.model.requests[before:] if "tools" in one.body]
    assert len(asked) == 1
