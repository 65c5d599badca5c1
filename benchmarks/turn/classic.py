"""The classic design: LangChain's CombinedMemory of window, summary and vectors, behind FastAPI.

    python -m onionskin.benchmarks.turn.classic MODEL_URL

Each user has a ConversationChain in a dictionary. The window is read from and written to
Redis by RedisChatMessageHistory; a ConversationSummaryMemory calls the model with each turn; a
VectorStoreRetrieverMemory on FAISS embeds with Onionskin's built-in model. All sizes are
LangChain's defaults. Its own Redis syncs its file each second, as Redis does by default.
"""

import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import faiss
import redis
from fastapi import FastAPI
from langchain_classic.base_memory import BaseMemory
from langchain_classic.chains import ConversationChain
from langchain_classic.memory import (
    CombinedMemory,
    ConversationBufferWindowMemory,
    ConversationSummaryMemory,
    VectorStoreRetrieverMemory,
)
from langchain_community.chat_message_histories import RedisChatMessageHistory
from langchain_community.docstore import InMemoryDocstore
from langchain_community.vectorstores import FAISS
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.prompts import PromptTemplate

from onionskin.benchmarks.turn.histories import history, sentences
from onionskin.benchmarks.turn.peer import (
    BuiltIn,
    Fill,
    Message,
    Reply,
    chat_model,
    model_url,
    serve,
)
from onionskin.memory.store import EmbeddedRedis

_PROMPT = PromptTemplate.from_template(
    "You are a helpful assistant who remembers this user.\n\nSummary so far:\n{summary}\n\n"
    "Possibly relevant:\n{recalled}\n\nThe last messages:\n{window}\n\nHuman: {input}\nAI:"
)
_SUMMARY_SENTENCES = 12
model, embeddings = chat_model(model_url()), BuiltIn()
chats: dict[str, "Chat"] = {}
redis_url = ""


@dataclass(frozen=True, slots=True)
class Chat:
    """A user's chain and its stores."""

    chain: Any
    window: RedisChatMessageHistory
    summary: Any
    vectors: Any


@asynccontextmanager
async def _redis(_: FastAPI) -> AsyncGenerator[None]:
    global redis_url  # noqa: PLW0603 - shared by the process
    with tempfile.TemporaryDirectory() as folder:
        async with EmbeddedRedis(Path(folder)) as server:
            redis_url = server.url
            client: Any = cast("Any", redis.Redis).from_url(redis_url)
            client.config_set("appendfsync", "everysec")
            client.close()
            yield


app = FastAPI(lifespan=_redis)


@app.post("/v1/chat")
async def chat(body: Message) -> Reply:
    """Answer a message."""
    answer = await _chat_of(body.user_id).chain.ainvoke({"input": body.message})
    return Reply(reply=answer["response"])


@app.post("/fill")
def fill(body: Fill) -> None:
    """Write a history to the stores directly."""
    user_chat = _chat_of(body.user_id)
    turns = list(history(body.turns, seed=body.seed))
    messages: list[BaseMessage] = []
    for turn in turns:
        messages += [HumanMessage(turn.message), AIMessage(turn.reply)]
    user_chat.window.add_messages(messages)
    user_chat.summary.buffer = " ".join(sentences(_SUMMARY_SENTENCES, seed=3))
    texts = [f"input: {turn.message}\nresponse: {turn.reply}" for turn in turns]
    vectors = embeddings.embed_documents(texts)
    user_chat.vectors.add_embeddings(list(zip(texts, vectors, strict=True)))


@app.get("/redis")
async def redis_address() -> str:
    """The URL of its Redis."""
    return redis_url


def _chat_of(user: str) -> Chat:
    if user not in chats:
        chats[user] = _open(user)
    return chats[user]


def _open(user: str) -> Chat:
    messages = RedisChatMessageHistory(user, url=redis_url)
    index = faiss.IndexFlatL2(len(embeddings.embed_query("a")))
    vectors = FAISS(embeddings, index, InMemoryDocstore(), {})
    keys: dict[str, Any] = {"input_key": "input"}
    summary = ConversationSummaryMemory(llm=model, memory_key="summary", **keys)
    memories: list[BaseMemory] = [
        ConversationBufferWindowMemory(chat_memory=messages, memory_key="window", **keys),
        summary,
        VectorStoreRetrieverMemory(retriever=vectors.as_retriever(), memory_key="recalled", **keys),
    ]
    chain = ConversationChain(
        llm=model, prompt=_PROMPT, memory=CombinedMemory(memories=memories), verbose=False
    )
    return Chat(chain, messages, summary, vectors)


if __name__ == "__main__":
    serve(app)
