"""The real clients of langchain-openai, pointed to the OpenAI server for tests."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from openai import DefaultAsyncHttpxClient
from pydantic import SecretStr

from tests.openai_server import OpenAIServer

QUESTION = "where did we meet"
ANSWER = "You said: where did we meet"
TOO_LONG = timedelta(seconds=30)  # the clients give up before; no test waits for it


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        yield server


@pytest.fixture
async def settings(server: OpenAIServer) -> AsyncIterator[dict[str, Any]]:
    # LangChain caches HTTP clients of its own and never closes them; this one ends with the test.
    async with DefaultAsyncHttpxClient() as client:
        yield {
            "model": "test-model",
            "base_url": server.base_url,
            "api_key": SecretStr("any"),
            "max_retries": 0,
            "timeout": 0.3,
            "http_async_client": client,
        }


@pytest.fixture
def chat(settings: dict[str, Any]) -> ChatOpenAI:
    return ChatOpenAI(**settings, stream_usage=True)


@pytest.fixture
def embedder(settings: dict[str, Any]) -> OpenAIEmbeddings:
    return OpenAIEmbeddings(**settings, check_embedding_ctx_length=False)


async def stream(chat: ChatOpenAI, got: list[str] | None = None) -> AIMessageChunk:
    """Add up a streamed answer; `got` takes its words as they come, for when it breaks off."""
    whole = AIMessageChunk(content="")
    async for chunk in chat.astream(QUESTION):
        assert isinstance(chunk, AIMessageChunk)
        if got is not None and chunk.text:
            got.append(chunk.text)
        whole += chunk
    return whole
