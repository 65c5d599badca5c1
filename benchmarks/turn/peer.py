"""Shared parts of the compared servers: request bodies, chat model, embedder and serving."""

import argparse
import asyncio
import sys

import openai
import uvicorn
import uvloop
from fastapi import FastAPI
from langchain_core.embeddings import Embeddings
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from onionskin.memory.retrieval.embedders.static import StaticModel


class Message(BaseModel):
    """A chat message, in Onionskin's format."""

    user_id: str
    message: str
    stream: bool = False


class Reply(BaseModel):
    """The answer to a chat message."""

    reply: str


class Fill(BaseModel):
    """A history to store in bulk."""

    user_id: str
    turns: int
    seed: int


class BuiltIn(Embeddings):
    """Onionskin's built-in embedder as LangChain's `Embeddings`, so that all sides have it."""

    def __init__(self) -> None:
        self._model = StaticModel()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """A vector for each text."""
        return self._model.encode(texts).tolist()

    def embed_query(self, text: str) -> list[float]:
        """The vector of a text."""
        return self.embed_documents([text])[0]


def model_url() -> str:
    """The base URL of the model, from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model_url")
    return parser.parse_args().model_url


def chat_model(url: str) -> ChatOpenAI:
    """LangChain's OpenAI client, configured as in Onionskin."""
    return ChatOpenAI(
        model="bench",
        api_key=SecretStr("none"),
        base_url=url,
        timeout=60,
        stream_usage=True,
        http_async_client=openai.DefaultAsyncHttpxClient(),
    )


def serve(app: FastAPI) -> None:
    """Serve on a free local port with Onionskin's server settings; prints the address."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, access_log=False, log_level="warning", http="httptools"
    )
    uvloop.run(_serve(uvicorn.Server(config)))


async def _serve(server: uvicorn.Server) -> None:
    async def announce() -> None:
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        sys.stdout.write(f"http://127.0.0.1:{port}\n")
        sys.stdout.flush()

    announcement = asyncio.create_task(announce())
    await server.serve()
    await announcement
