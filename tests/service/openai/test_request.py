"""What goes to the model as it came: tools and their results, formats, limits, pictures."""

import json
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from onionskin.memory.store.redis.embedded import EmbeddedRedis
from tests.openai_faults import Fault
from tests.service.conftest import Backend
from tests.service.openai.sdk_calls import ask, asked_last, from_assistant, from_user
from tests.services import running_service

_TOOL = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}
_FORMAT: dict[str, Any] = {
    "type": "json_schema",
    "json_schema": {
        "name": "answer",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"name": {"type": "string"}},
            "required": ["name"],
            "additionalProperties": False,
        },
    },
}


def _streamed_call() -> bytes:
    """A call of a tool, as OpenAI streams it."""

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        whole = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m"}
        return b"data: " + json.dumps(whole | {"choices": [choice]}).encode() + b"\n\n"

    def call(arguments: str, **more: Any) -> dict[str, Any]:
        function = more.pop("function", {}) | {"arguments": arguments}
        return {"tool_calls": [{"index": 0, **more, "function": function}]}

    begin = call("", id="c1", type="function", function={"name": "clock"})
    pieces = [begin, call('{"zone":'), call(' "UTC"}')]
    chunks = [chunk({"role": "assistant", "content": None}), *map(chunk, pieces)]
    return b"".join([*chunks, chunk({}, "tool_calls"), b"data: [DONE]\n\n"])


def test_a_streamed_call_of_a_tool_comes_back_and_is_stored(
    client: OpenAI, backend: Backend
) -> None:
    backend.model.faults.append(Fault(body=_streamed_call(), purpose="completions"))
    said = from_user("How late is it?")
    chunks = list(ask(client, "p1", said, tools=[_TOOL], stream=True))
    calls = [c for one in chunks for c in one.choices[0].delta.tool_calls or ()]
    assert calls[0].id == "c1"
    assert calls[0].function.name == "clock"
    assert json.loads("".join(one.function.arguments for one in calls)) == {"zone": "UTC"}
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    assert backend.transcript("p1") == ["How late is it?", ""]
    call = {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
    tail: list[Any] = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "noon"},
    ]
    backend.model.reply = lambda _: "It is noon."
    ask(client, "p1", said, *tail, tools=[_TOOL])
    shown = asked_last(backend)
    assert [one["role"] for one in shown["messages"]][-3:] == ["user", "assistant", "tool"]
    assert backend.transcript("p1") == ["How late is it?", "", "It is noon."]


def test_the_client_s_wishes_reach_the_model(client: OpenAI, backend: Backend) -> None:
    wishes: dict[str, Any] = {
        "temperature": 0.3,
        "top_p": 0.5,
        "seed": 7,
        "stop": ["END"],
        "max_completion_tokens": 50,
        "tools": [_TOOL],
        "tool_choice": "auto",
    }
    ask(client, "p2", from_user("Hello."), **wishes)
    body = asked_last(backend)
    assert {name: body.get(name) for name in wishes} == wishes
    ask(client, "p2", from_user("Hello."), max_tokens=60)
    body = asked_last(backend)
    assert 60 in (body.get("max_tokens"), body.get("max_completion_tokens"))
    ask(client, "p2", from_user("Hello."))
    assert not set(wishes) & set(asked_last(backend))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wanted", [_FORMAT, {"type": "json_object"}])
def test_a_format_of_the_answer_is_passed_on(
    client: OpenAI, backend: Backend, wanted: dict[str, Any], stream: bool
) -> None:
    user = f"p3-{wanted['type']}-{stream}"
    backend.model.reply = lambda _: '{"name": "Biscuit"}'
    answer = ask(client, user, from_user("My dog?"), response_format=wanted, stream=stream)
    if stream:
        text = "".join(c.choices[0].delta.content or "" for c in answer if c.choices)
    else:
        text = answer.choices[0].message.content
    assert json.loads(text) == {"name": "Biscuit"}
    assert asked_last(backend)["response_format"] == wanted
    assert backend.transcript(user) == ["My dog?", text]


def test_the_offline_model_minds_none_of_it(private_redis: EmbeddedRedis, tmp_path: Path) -> None:
    settings = {"ONIONSKIN_REDIS_URL": private_redis.url, "ONIONSKIN_MODEL": "offline"}
    with (
        running_service(tmp_path, **settings) as service,
        OpenAI(base_url=f"{service.url}/v1", api_key="any", max_retries=0) as client,
    ):
        wishes: dict[str, Any] = {"temperature": 0.3, "tools": [_TOOL], "stop": ["END"], "seed": 1}
        ask(client, "p4", from_user("My dog is called Biscuit."), **wishes)
        answer = ask(client, "p4", from_user("What is my dog called?"), **wishes)
        assert "Biscuit" in answer.choices[0].message.content


@pytest.mark.parametrize("stream", [False, True])
def test_what_fails_before_the_first_word_is_an_error_of_http(
    client: OpenAI, backend: Backend, stream: bool
) -> None:
    backend.model.faults.append(Fault(status=500, purpose="completions"))
    with pytest.raises(openai.InternalServerError) as caught:
        ask(client, f"p5-{stream}", from_user("Hello."), stream=stream)
    assert caught.value.status_code == 502
    assert caught.value.code == "model_failed"
    assert caught.value.type == "server_error"
    assert caught.value.request_id
    assert backend.transcript(f"p5-{stream}") == ["Hello."]


def test_a_stream_that_breaks_off_says_so_and_keeps_its_beginning(
    client: OpenAI, backend: Backend
) -> None:
    backend.model.reply = lambda _: "one two three four"
    backend.model.faults.append(Fault(cut_after_tokens=2, purpose="completions"))
    with pytest.raises(openai.APIError) as caught:
        list(ask(client, "p6", from_user("Count."), stream=True))
    assert caught.value.code == "model_failed"
    assert backend.transcript("p6") == ["Count.", "one two"]


def test_an_answer_names_where_it_is_stored(client: OpenAI, backend: Backend) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="layered", user="p7", messages=[from_user("Hello.")]
    )
    session = backend.sessions("p7")[0]["session_id"]
    assert raw.headers["X-Session-Id"] == session
    assert raw.headers["X-Turn-Id"] == f"{session}.0"
    assert raw.headers["x-request-id"]
    answer = raw.parse()
    chunks = list(
        ask(
            client,
            "p7",
            from_user("Hello."),
            from_assistant(str(answer.choices[0].message.content)),
            from_user("On."),
            stream=True,
        )
    )
    assert chunks[-1].metadata == {"session_id": session, "turn_id": f"{session}.2"}


def test_what_is_too_long_is_413(client: OpenAI, backend: Backend) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        ask(client, "p8", from_user("x" * 40_000))
    assert caught.value.status_code == 413
    assert caught.value.type == "invalid_request_error"
    assert caught.value.code == "message_too_long"
    with pytest.raises(openai.APIStatusError) as caught:
        ask(client, "p8", from_user("x" * (1 << 20)))
    assert caught.value.status_code == 413
    assert backend.sessions("p8") == []


def test_what_is_no_json_is_an_error_in_openai_s_shape(backend: Backend) -> None:
    for content in (b"{", b"[]", b'{"model": 3, "messages": []}', b"\xff"):
        headers = {"content-type": "application/json"}
        answer = backend.client.post("/v1/chat/completions", content=content, headers=headers)
        assert answer.status_code == 400
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert backend.client.get("/v1/chat/completions").json()["error"]["code"]


def test_a_redis_that_is_away_is_503_in_openai_s_shape(tmp_path: Path) -> None:
    settings = {
        "ONIONSKIN_REDIS_URL": f"unix://{tmp_path}/nobody.sock",
        "ONIONSKIN_MODEL": "offline",
    }
    with (
        running_service(tmp_path, **settings) as service,
        OpenAI(base_url=f"{service.url}/v1", api_key="any", max_retries=0) as client,
    ):
        for stream in (False, True):
            with pytest.raises(openai.InternalServerError) as caught:
                ask(client, "p9", from_user("Hello."), stream=stream)
            assert caught.value.status_code == 503
            assert caught.value.code == "store_unavailable"
            assert "retry-after" in caught.value.response.headers
