"""The contract with langchain-openai: its internals, and the requests that it would send."""

import inspect
import json
from collections.abc import Sequence
from typing import Any, cast

import httpx2
import openai
import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from onionskin.chains.models.openai import (
    LANGCHAIN_FIELDS,
    LANGCHAIN_METHODS,
    FastChatOpenAI,
    Transport,
)
from onionskin.chains.models.openai_transport import FirstAttemptClient, TransportResponse

_COMPLETION: dict[str, Any] = {
    "id": "1",
    "object": "chat.completion",
    "created": 0,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hi."},
            "finish_reason": "stop",
        }
    ],
}
_CHUNK: dict[str, Any] = {
    "id": "1",
    "object": "chat.completion.chunk",
    "created": 0,
    "model": "m",
    "choices": [{"index": 0, "delta": {"content": "Hi."}, "finish_reason": "stop"}],
}
_PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
_PROMPTS: dict[str, list[BaseMessage]] = {
    "plain": [
        SystemMessage("Be brief."),
        HumanMessage('H\u00e9 <you>, "quoted" \u2028 and \U0001f436.'),
        AIMessage("Hello."),
        HumanMessage("So?"),
    ],
    "image": [HumanMessage([{"type": "text", "text": "What is this?"}, _PICTURE])],
    "tool_results": [
        HumanMessage("Look."),
        AIMessage("", tool_calls=[{"name": "look", "args": {"at": "it"}, "id": "call-1"}]),
        ToolMessage("A cat.", tool_call_id="call-1"),
    ],
}


@tool
def look(at: str) -> str:
    """Look at something."""
    return at


@pytest.mark.parametrize("name", LANGCHAIN_METHODS)
def test_the_methods_of_langchain_openai_have_the_signatures_we_rely_on(name: str) -> None:
    signature = inspect.signature(getattr(ChatOpenAI, name))
    parameters = tuple(str(parameter) for parameter in signature.parameters.values())
    assert parameters == LANGCHAIN_METHODS[name]


def test_every_overridden_method_is_in_the_table() -> None:
    overridden = {
        name
        for name, value in vars(FastChatOpenAI).items()
        if inspect.isfunction(value)
        and value.__module__ == FastChatOpenAI.__module__
        and hasattr(ChatOpenAI, name)
    }
    assert overridden
    assert overridden <= LANGCHAIN_METHODS.keys()


def test_the_fields_of_langchain_openai_exist() -> None:
    assert ChatOpenAI.model_fields.keys() >= LANGCHAIN_FIELDS


class _Recorder:
    """Notes the bodies of requests, and answers them."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.bodies.append(request.content)
        if json.loads(request.content).get("stream"):
            events = f"data: {json.dumps(_CHUNK)}\n\ndata: [DONE]\n\n"
            return httpx2.Response(
                200, headers={"content-type": "text/event-stream"}, content=events.encode()
            )
        return httpx2.Response(200, json=_COMPLETION)


class _RecordingTransport(Transport):
    """A transport that reaches the recorder in place of a server."""

    def __init__(self, recorder: _Recorder) -> None:
        self._recorder = recorder

    async def post(
        self, path: str, headers: list[tuple[str, str]], body: bytes, seconds: float
    ) -> TransportResponse:
        self._recorder.bodies.append(body)
        return TransportResponse(200, [], json.dumps(_COMPLETION).encode())


def _models(recorder: _Recorder) -> tuple[ChatOpenAI, FastChatOpenAI]:
    options: dict[str, Any] = {"model": "m", "base_url": "http://model/v1", "api_key": "none"}
    options |= {"temperature": 0.5, "stream_usage": True}
    transport = httpx2.MockTransport(recorder)
    plain_client = openai.DefaultAsyncHttpxClient(transport=transport)
    fast_client = FirstAttemptClient(transport=transport)
    return (
        ChatOpenAI(**options, http_async_client=plain_client),
        FastChatOpenAI(**options, http_async_client=fast_client),
    )


async def _call(model: ChatOpenAI, prompt: Sequence[BaseMessage], how: str) -> None:
    if how == "stream":
        async for _ in model.astream(list(prompt)):
            pass
    elif how == "tools":
        await cast("Any", model).bind_tools([look]).ainvoke(list(prompt))
    else:
        await model.ainvoke(list(prompt), stop=["."])


@pytest.mark.parametrize("how", ["whole", "tools", "stream"])
@pytest.mark.parametrize("prompt", _PROMPTS)
async def test_requests_through_the_sdk_are_those_of_chatopenai_byte_for_byte(
    prompt: str, how: str
) -> None:
    recorder = _Recorder()
    for model in _models(recorder):
        await _call(model, _PROMPTS[prompt], how)
    plain, fast = recorder.bodies
    assert fast == plain


@pytest.mark.parametrize("how", ["whole", "tools"])
@pytest.mark.parametrize("prompt", _PROMPTS)
async def test_requests_of_the_transport_differ_in_the_order_of_their_keys_alone(
    prompt: str, how: str
) -> None:
    recorder = _Recorder()
    plain_model, fast_model = _models(recorder)
    fast_model.use_transport(_RecordingTransport(recorder))
    for model in (plain_model, fast_model):
        await _call(model, _PROMPTS[prompt], how)
    plain, fast = recorder.bodies
    assert len(fast) == len(plain)
    assert _members(fast) == _members(plain)


def _members(body: bytes) -> set[str]:
    """The members of the body's object, each as JSON with the order of its own keys."""
    members: dict[str, Any] = json.loads(body)
    return {f"{name}:{json.dumps(value)}" for name, value in members.items()}
