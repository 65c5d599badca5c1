"""The OpenAI server for tests, met by the real clients of langchain-openai."""

import asyncio
import signal
import sys
from datetime import timedelta
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from langchain_core.exceptions import (
    ModelConnectionError,
)
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from tests.conftest import repository
from tests.openai_protocol.conftest import ANSWER, QUESTION, TOO_LONG, stream
from tests.openai_server import Fault, OpenAIServer


async def test_an_answer_echoes_the_question_and_counts_words(
    server: OpenAIServer, chat: ChatOpenAI
) -> None:
    answer = await chat.ainvoke([("system", "Be brief."), ("user", QUESTION)])

    assert answer.content == ANSWER
    assert answer.response_metadata["finish_reason"] == "stop"
    assert answer.response_metadata["model_name"] == "test-model"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["input_tokens"] == 6
    assert answer.usage_metadata["output_tokens"] == 6
    (request,) = server.requests
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer any"
    assert request.messages == [("system", "Be brief."), ("user", QUESTION)]


async def test_reply_decides_what_is_answered(server: OpenAIServer, chat: ChatOpenAI) -> None:
    server.reply = lambda request: f"{request.body['model']} says\n\n  no "

    assert (await chat.ainvoke(QUESTION)).content == "test-model says\n\n  no "
    assert (await stream(chat)).content == "test-model says\n\n  no "


async def test_a_stream_comes_word_by_word_and_ends_with_usage(chat: ChatOpenAI) -> None:
    words: list[str] = []
    whole = await stream(chat, words)

    assert words == ["You", " said:", " where", " did", " we", " meet"]
    assert whole.response_metadata["finish_reason"] == "stop"
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["total_tokens"] == 10


async def test_texts_that_share_words_have_near_vectors(embedder: OpenAIEmbeddings) -> None:
    vectors = np.array(
        await embedder.aembed_documents(["red apple pie", "A red apple!", "quantum field theory"])
    )

    assert vectors.shape == (3, 64)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    assert vectors[0] @ vectors[1] > 0.5 > abs(vectors[0] @ vectors[2])
    assert await embedder.aembed_query("red apple pie") == vectors[0].tolist()


async def test_base64_and_float_give_the_same_vector(
    server: OpenAIServer, embedder: OpenAIEmbeddings
) -> None:
    in_base64 = await embedder.aembed_documents([QUESTION], dimensions=8)
    in_floats = await embedder.aembed_documents([QUESTION], dimensions=8, encoding_format="float")

    assert in_base64 == in_floats
    assert len(in_floats[0]) == 8
    formats = [request.body["encoding_format"] for request in server.requests]
    assert formats == ["base64", "float"]


async def test_lists_of_tokens_are_refused_with_advice(settings: dict[str, Any]) -> None:
    client = openai.AsyncOpenAI(
        base_url=settings["base_url"], api_key="any", http_client=settings["http_async_client"]
    )

    with pytest.raises(openai.BadRequestError, match="check_embedding_ctx_length=False"):
        await client.embeddings.create(model="test-model", input=[1, 2, 3])


async def test_it_lists_its_model_and_knows_no_other_url(server: OpenAIServer) -> None:
    async with httpx.AsyncClient() as client:
        models = await client.get(f"{server.base_url}/models")
        unknown = await client.post(f"{server.base_url}/images", json={})
        malformed = await client.post(f"{server.base_url}/embeddings", content=b"{")

    assert models.json()["data"][0]["id"] == "test-model"
    assert unknown.status_code == 404
    assert unknown.json()["error"]["code"] == "unknown_url"
    assert malformed.status_code == 400


async def test_it_leaves_no_task_behind_whatever_is_under_way() -> None:
    before = asyncio.all_tasks()
    async with OpenAIServer() as server, httpx.AsyncClient() as client:
        for fault in (Fault(hang=True), Fault(delay=TOO_LONG)):
            server.fault = fault
            with pytest.raises(httpx.ReadTimeout):
                await client.get(f"{server.base_url}/models", timeout=0.05)
        server.fault = None
        await client.get(f"{server.base_url}/models")
        assert asyncio.all_tasks() > before

    assert asyncio.all_tasks() == before
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{server.base_url}/models")


async def test_requests_are_not_kept_where_they_would_fill_the_memory() -> None:
    async with OpenAIServer(keep_requests=False) as server, httpx.AsyncClient() as client:
        await client.get(f"{server.base_url}/models")

    assert server.requests == []


async def test_a_defect_in_reply_comes_out_at_the_end(settings: dict[str, Any]) -> None:
    def broken(_: object) -> str:
        raise KeyError("a defect of the test")

    with pytest.RaisesGroup(KeyError):
        async with OpenAIServer() as server:
            server.reply = broken
            settings["base_url"] = server.base_url
            with pytest.raises(ModelConnectionError):
                await ChatOpenAI(**settings).ainvoke(QUESTION)


async def test_it_serves_as_a_process_of_its_own_until_sigterm() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.openai_server", "--port", "0", "--latency-ms", "50"),
        stdout=asyncio.subprocess.PIPE,
        cwd=repository(),
    )
    assert process.stdout is not None
    base_url = (await process.stdout.readline()).decode().strip()
    async with httpx.AsyncClient() as client:
        models = await client.get(f"{base_url}/models")
    process.send_signal(signal.SIGTERM)

    assert await process.wait() == 0
    assert models.status_code == 200
    assert models.elapsed >= timedelta(milliseconds=50)
