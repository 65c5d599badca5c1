"""A chat with mem0: search, call the model, add, with its inference or without.

    python -m onionskin.benchmarks.turn.mem0_chat MODEL_URL

`profile` of a message is `infer` or `plain`. mem0 uses its FAISS store and Onionskin's built-in
embedder, and sends nothing to other machines. Needs the extra `bench`.
"""

import os
import tempfile
from importlib import import_module
from typing import Any

os.environ["MEM0_TELEMETRY"] = "False"
_folder = tempfile.TemporaryDirectory()
os.environ["MEM0_DIR"] = _folder.name

from fastapi import FastAPI  # noqa: E402 - mem0 reads its environment at import
from langchain_core.messages import HumanMessage, SystemMessage  # noqa: E402

from onionskin.benchmarks.turn.histories import history  # noqa: E402
from onionskin.benchmarks.turn.peer import (  # noqa: E402
    BuiltIn,
    Fill,
    Message,
    Reply,
    chat_model,
    model_url,
    serve,
)

_TOP_K = 20


class Mem0Message(Message):
    """A message, and whether mem0 runs its inference on it."""

    profile: str = "plain"


class _Embedding:
    """The built-in embedder with the interface of mem0's embedders."""

    def __init__(self) -> None:
        self._model = BuiltIn()

    def embed(self, text: str, memory_action: str | None = None) -> list[float]:
        del memory_action
        return self._model.embed_query(text)

    def embed_batch(self, texts: list[str], memory_action: str | None = None) -> list[list[float]]:
        del memory_action
        return self._model.embed_documents(texts)


_url = model_url()
_embedding = _Embedding()
_dim = len(_embedding.embed("a"))
_openai = {"api_key": "none", "openai_base_url": _url}
memory: Any = import_module("mem0").Memory.from_config(
    {
        "vector_store": {
            "provider": "faiss",
            "config": {
                "path": f"{_folder.name}/faiss",
                "embedding_model_dims": _dim,
                "distance_strategy": "inner_product",
            },
        },
        "llm": {"provider": "openai", "config": {**_openai, "model": "bench"}},
        "embedder": {"provider": "openai", "config": {**_openai, "embedding_dims": _dim}},
        "history_db_path": ":memory:",
    }
)
memory.embedding_model = _embedding
model = chat_model(_url)
app = FastAPI()


@app.post("/v1/chat")
def chat(body: Mem0Message) -> Reply:
    """Answer a message."""
    results = memory.search(body.message, filters={"user_id": body.user_id}, top_k=_TOP_K)
    lines = "\n".join(f"- {result['memory']}" for result in results["results"])
    remembered = SystemMessage(f"What you remember of this user:\n{lines}")
    answer = str(model.invoke([remembered, HumanMessage(body.message)]).text)
    messages = [
        {"role": "user", "content": body.message},
        {"role": "assistant", "content": answer},
    ]
    memory.add(messages, user_id=body.user_id, infer=body.profile == "infer")
    return Reply(reply=answer)


@app.post("/fill")
def fill(body: Fill) -> None:
    """Write a history to its store directly."""
    texts = [
        text for turn in history(body.turns, seed=body.seed) for text in (turn.message, turn.reply)
    ]
    memory.vector_store.insert(
        vectors=_embedding.embed_batch(texts),
        payloads=[{"data": text, "user_id": body.user_id, "hash": ""} for text in texts],
        ids=[f"{body.user_id}-{number}" for number in range(len(texts))],
    )


if __name__ == "__main__":
    serve(app)
