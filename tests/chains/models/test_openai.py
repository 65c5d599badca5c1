"""FastChatOpenAI sends ChatOpenAI's requests, and its messages bypass the SDK's transform."""

import asyncio
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai._utils import _transform  # pyright: ignore[reportPrivateUsage]
from pydantic import BaseModel

from onionskin.chains.models.openai import FastChatOpenAI
from tests.openai_server import OpenAIServer, Request

_PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
_TALK: list[BaseMessage] = [
    SystemMessage("Be brief."),
    HumanMessage("Hello."),
    AIMessage("Hello.", name="helper"),
    HumanMessage([{"type": "text", "text": "What is this?"}, _PICTURE]),
    AIMessage("", tool_calls=[{"name": "look", "args": {"at": "it"}, "id": "call-1"}]),
    ToolMessage("A cat.", tool_call_id="call-1"),
    HumanMessage("Sure?", name="bo"),
]


class _Answer(BaseModel):
    """An answer."""

    text: str


@tool
def look(at: str) -> str:
    """Look at something."""
    return at


def _models(server: OpenAIServer, **settings: Any) -> tuple[Any, Any]:
    options: dict[str, Any] = {"base_url": server.base_url, "api_key": "none", "model": "m"}
    return ChatOpenAI(**options, **settings), FastChatOpenAI(**options, **settings)


async def test_requests_are_the_same_on_the_wire() -> None:
    async with OpenAIServer() as server:
        plain, fast = _models(server, temperature=0.5, extra_body={"top_k": 4})
        for model in (plain, fast):
            await model.ainvoke(_TALK)
            await model.ainvoke(_TALK, stop=["."])
            await model.bind_tools([look]).ainvoke(_TALK)
            async for _ in model.astream(_TALK):
                pass
            await asyncio.to_thread(model.invoke, _TALK)
    assert len(server.requests) == 10
    assert list(map(_wire, server.requests[:5])) == list(map(_wire, server.requests[5:]))
    assert server.requests[5].messages[0] == ("system", "Be brief.")
    assert server.requests[5].body["top_k"] == 4


async def test_requests_for_structured_output_are_the_same() -> None:
    async with OpenAIServer() as server:
        server.reply = lambda _: '{"text": "Yes."}'
        for model in _models(server):
            structured = model.with_structured_output(_Answer, method="json_schema")
            assert await structured.ainvoke(_TALK) == _Answer(text="Yes.")
    assert _wire(server.requests[0]) == _wire(server.requests[1])


async def test_the_transform_sees_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    transformed: list[Any] = []
    original: Any = _transform._async_transform_recursive  # pyright: ignore[reportPrivateUsage]

    async def watched(data: Any, **kwargs: Any) -> Any:
        transformed.append(data)
        return await original(data, **kwargs)

    monkeypatch.setattr(_transform, "_async_transform_recursive", watched)
    async with OpenAIServer() as server:
        plain, fast = _models(server)
        await fast.ainvoke("A word.")
        assert "A word." not in str(transformed)
        await plain.ainvoke("A word.")
        assert "A word." in str(transformed)


def _wire(request: Request) -> tuple[str, dict[str, Any]]:
    return request.path, request.body
