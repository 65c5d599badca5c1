"""What the real clients make of each fault of the OpenAI server for tests."""

import json
from datetime import timedelta
from typing import Any

import openai
import pytest
from langchain_core.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelInvalidRequestError,
    ModelRateLimitError,
    ModelTimeoutError,
)
from langchain_openai import ChatOpenAI, OpenAIEmbeddings, StreamChunkTimeoutError

from tests.openai_protocol.conftest import ANSWER, QUESTION, TOO_LONG, stream
from tests.openai_server import Fault, OpenAIServer


@pytest.mark.parametrize(
    ("fault", "of_chat", "of_stream", "of_embeddings"),
    [
        (Fault(delay=TOO_LONG), ModelTimeoutError, ModelTimeoutError, openai.APITimeoutError),
        (Fault(hang=True), ModelTimeoutError, ModelTimeoutError, openai.APITimeoutError),
        (Fault(refuse=True), ModelConnectionError, ModelConnectionError, openai.APIConnectionError),
        (
            Fault(status=400),
            ModelInvalidRequestError,
            ModelInvalidRequestError,
            openai.BadRequestError,
        ),
        (
            Fault(status=401),
            ModelAuthenticationError,
            ModelAuthenticationError,
            openai.AuthenticationError,
        ),
        (Fault(status=429), ModelRateLimitError, ModelRateLimitError, openai.RateLimitError),
        (Fault(status=503), ModelAPIError, ModelAPIError, openai.InternalServerError),
        (Fault(body=b"<html>"), json.JSONDecodeError, ValueError, json.JSONDecodeError),
        (Fault(body=b"{}"), TypeError, ValueError, ValueError),
    ],
    ids=["slow", "hang", "refuse", "400", "401", "429", "503", "html", "empty object"],
)
async def test_a_fault_reaches_the_caller_as(
    server: OpenAIServer,
    chat: ChatOpenAI,
    embedder: OpenAIEmbeddings,
    *,
    fault: Fault,
    of_chat: type[Exception],
    of_stream: type[Exception],
    of_embeddings: type[Exception],
) -> None:
    server.fault = fault

    with pytest.raises(of_chat):
        await chat.ainvoke(QUESTION)
    with pytest.raises(of_stream):
        await stream(chat)
    with pytest.raises(of_embeddings):
        await embedder.aembed_query(QUESTION)

    server.fault = None
    assert (await chat.ainvoke(QUESTION)).content == ANSWER


async def test_a_cut_stream_raises_after_the_tokens_that_came(
    server: OpenAIServer, chat: ChatOpenAI
) -> None:
    server.fault = Fault(cut_after_tokens=2)
    words: list[str] = []

    with pytest.raises(ModelConnectionError):
        await stream(chat, words)

    assert words == ["You", " said:"]
    assert (await chat.ainvoke(QUESTION)).content == ANSWER, "it concerns streams only"


async def test_a_stream_that_ends_early_looks_whole_but_for_its_finish_reason(
    server: OpenAIServer, chat: ChatOpenAI
) -> None:
    server.fault = Fault(end_after_tokens=2)

    whole = await stream(chat)

    assert whole.content == "You said:"
    assert "finish_reason" not in whole.response_metadata
    assert whole.usage_metadata is None
    assert whole.chunk_position == "last", "LangChain says so whatever came"


async def test_a_slow_stream_times_out_between_tokens(
    server: OpenAIServer, settings: dict[str, Any]
) -> None:
    server.fault = Fault(token_delay=TOO_LONG)
    words: list[str] = []

    with pytest.raises(ModelTimeoutError):
        await stream(ChatOpenAI(**settings), words)
    with pytest.raises(StreamChunkTimeoutError):
        await stream(ChatOpenAI(**settings, stream_chunk_timeout=0.1), words)

    assert words == ["You", "You"]


async def test_a_rate_limit_says_when_to_come_back(server: OpenAIServer, chat: ChatOpenAI) -> None:
    server.fault = Fault(status=429, retry_after=timedelta(seconds=1.5))

    with pytest.raises(openai.RateLimitError) as caught:
        await chat.ainvoke(QUESTION)

    assert caught.value.response.headers["retry-after"] == "1.5"


async def test_queued_faults_wait_for_the_requests_that_they_concern(
    server: OpenAIServer, chat: ChatOpenAI, embedder: OpenAIEmbeddings
) -> None:
    server.fault = Fault(status=503)
    server.faults.append(Fault(end_after_tokens=1))
    server.faults.append(Fault(status=429, purpose="embeddings"))
    server.faults.append(Fault(status=401))

    with pytest.raises(ModelAuthenticationError):
        await chat.ainvoke(QUESTION)
    with pytest.raises(openai.RateLimitError):
        await embedder.aembed_query(QUESTION)
    assert (await stream(chat)).content == "You"
    with pytest.raises(ModelAPIError):
        await chat.ainvoke(QUESTION)
    assert not server.faults


def test_a_fault_fails_in_one_way_only() -> None:
    with pytest.raises(ValueError, match="2 ways at once"):
        Fault(refuse=True, status=500)
    with pytest.raises(ValueError, match="give a status"):
        Fault(retry_after=timedelta(seconds=1))
