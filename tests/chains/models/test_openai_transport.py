"""The transport gives the same answers and errors as the SDK."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx2
import openai
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from onionskin.chains.models.factory import ModelOptions, open_model
from onionskin.chains.models.openai_transport import Transport
from onionskin.chains.prompt import Prompt
from onionskin.memory.http_limits import LARGEST_RESPONSE_BYTES
from tests.openai_server import Fault, OpenAIServer

_KEY = SecretStr("sk-test")
_TEXT: dict[str, Any] = {"type": "text", "text": "What?"}


@asynccontextmanager
async def _model(server: OpenAIServer, retries: int = 2) -> AsyncGenerator[BaseChatModel]:
    options = ModelOptions("m", server.base_url, _KEY, retries=retries)
    async with open_model(options) as model:
        yield model


async def test_an_answer_equals_that_of_the_sdk() -> None:
    async with OpenAIServer() as server, _model(server) as fast:
        plain = ChatOpenAI(model="m", base_url=server.base_url, api_key=_KEY)
        ours, theirs = await fast.ainvoke("A word."), await plain.ainvoke("A word.")
    assert ours.content == theirs.content == "You said: A word."
    assert ours.usage_metadata == theirs.usage_metadata
    assert ours.response_metadata["finish_reason"] == theirs.response_metadata["finish_reason"]


async def test_requests_equal_those_of_the_sdk() -> None:
    talk: list[BaseMessage] = [
        SystemMessage("Be brief."),
        HumanMessage("Hi."),
        AIMessage("Hi."),
        HumanMessage("So?"),
    ]
    calls: list[BaseMessage] = [
        AIMessage("", tool_calls=[{"name": "look", "args": {"at": "it"}, "id": "call-1"}]),
        ToolMessage("A cat.", tool_call_id="call-1"),
    ]
    named: list[BaseMessage] = [
        HumanMessage("Sure?", name="bo"),
        AIMessage("Yes."),
        HumanMessage([_TEXT]),
    ]
    async with OpenAIServer() as server, _model(server) as fast:
        plain = ChatOpenAI(model="m", base_url=server.base_url, api_key=_KEY, max_retries=2)
        for model in (plain, fast):
            for prompt in (talk, talk + calls, calls[:1] + talk, talk + named, talk[1:2], talk[2:]):
                await model.ainvoke(prompt, temperature=0.5, stop=["."])
    bodies = [request.body for request in server.requests]
    assert bodies[:6] == bodies[6:]


async def test_a_prompt_of_texts_is_sent_like_its_messages() -> None:
    prompt = Prompt(
        [("system", "Be brief."), ("user", "Hi."), ("assistant", "Hi."), ("user", "So?")]
    )
    async with OpenAIServer() as server, _model(server) as fast:
        plain = ChatOpenAI(model="m", base_url=server.base_url, api_key=_KEY, stream_usage=True)
        answers = [await fast.ainvoke(prompt), await plain.ainvoke(list(prompt))]
        async for _ in fast.astream(prompt):
            pass
        async for _ in plain.astream(list(prompt)):
            pass
        await plain.ainvoke(prompt)  # any chat model takes it
    whole, same, streamed, alike, taken = (request.body for request in server.requests)
    assert whole == same == taken
    assert streamed == alike
    ours, theirs = answers
    assert ours.content == theirs.content
    assert ours.usage_metadata == theirs.usage_metadata
    compared = ("finish_reason", "model_name", "model_provider")
    assert [ours.response_metadata[name] for name in compared] == [
        theirs.response_metadata[name] for name in compared
    ]


async def test_langchains_cache_is_used() -> None:
    prompt = Prompt([("user", "A word.")])
    async with OpenAIServer() as server, _model(server) as fast:
        set_llm_cache(InMemoryCache())
        try:
            answers = [await fast.ainvoke(prompt) for _ in range(3)]
        finally:
            set_llm_cache(None)
        assert [answer.content for answer in answers] == ["You said: A word."] * 3
        assert len(server.requests) == 1
        await fast.ainvoke(prompt)
        assert len(server.requests) == 2


async def test_the_sdk_does_not_see_a_plain_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unwanted(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(openai.AsyncOpenAI, "post", unwanted)
    async with OpenAIServer() as server, _model(server) as model:
        answers = await asyncio.gather(*(model.ainvoke(str(number)) for number in range(20)))
    assert [answer.content for answer in answers] == [f"You said: {number}" for number in range(20)]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(status=429, retry_after=timedelta(milliseconds=1)),
        Fault(refuse=True),
        Fault(body=b" " * (LARGEST_RESPONSE_BYTES + 1)),
    ],
)
async def test_a_failed_call_is_retried(fault: Fault) -> None:
    async with OpenAIServer() as server, _model(server) as model:
        server.faults.append(fault)
        assert (await model.ainvoke("A word.")).content == "You said: A word."
        assert len(server.requests) == 2
        assert (await model.ainvoke("Two.")).content == "You said: Two."
        assert len(server.requests) == 3


async def test_the_sdk_reports_failures() -> None:
    async with OpenAIServer() as server, _model(server, retries=0) as model:
        server.faults.append(Fault(status=400))
        with pytest.raises(openai.BadRequestError):
            await model.ainvoke("A word.")
        server.faults.append(Fault(refuse=True))
        with pytest.raises(openai.APIConnectionError):
            await model.ainvoke("A word.")
        assert len(server.requests) == 2


async def test_a_server_that_is_unreachable_and_one_that_hangs() -> None:
    async with OpenAIServer() as server:
        server.fault = Fault(hang=True)
        transport = Transport(server.base_url)
        with pytest.raises(httpx2.ReadTimeout):
            await transport.post("/chat/completions", [], b"{}", 0.05)
        await transport.aclose()
    transport = Transport(server.base_url)
    with pytest.raises(httpx2.ConnectError):
        await transport.post("/chat/completions", [], b"{}", 1)
    await transport.aclose()


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", b"hi"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", b"hi"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b""),
        (b"HTTP/1.0 200 OK\r\n\r\nto the end", b"to the end"),
    ],
)
async def test_answers_of_every_framing(answer: bytes, body: bytes) -> None:
    async with _answering(answer) as transport:
        assert (await transport.post("/", [("x", "y")], b"{}", 5)).body == body


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"SSH-2.0\r\n", httpx2.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi", httpx2.ReadError),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n", httpx2.ReadError),
        (
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nhi",
            httpx2.RemoteProtocolError,
        ),
    ],
)
async def test_malformed_answers(answer: bytes, error: type[Exception]) -> None:
    async with _answering(answer) as transport:
        with pytest.raises(error):
            await transport.post("/", [], b"{}", 5)


async def test_a_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with OpenAIServer() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.base_url.removesuffix("/v1"))
        monkeypatch.setenv("NO_PROXY", "")
        options = ModelOptions("m", "http://model.invalid/v1", _KEY, retries=0)
        async with open_model(options) as model:
            with pytest.raises(openai.APIStatusError):  # the test server knows no absolute paths
                await model.ainvoke("A word.")
        assert len(proxy.requests) == 1


@asynccontextmanager
async def _answering(answer: bytes) -> AsyncGenerator[Transport]:
    """A transport to a server that sends one answer and closes the connection."""

    async def give(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(give, "127.0.0.1", 0) as server:
        transport = Transport(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        yield transport
        await transport.aclose()
