"""mem0 with a local FAISS store, for the benchmarks; needs the extra `bench`.

Its embedder returns precomputed vectors, and `infer=False` avoids model calls, so that only mem0's
own work is measured.
"""

import os
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from onionskin.memory.types.messages import Vector

_USER = "u"


class Mem0:
    """mem0 with one user.

    Raises:
        ImportError: mem0 is not installed.
    """

    def __init__(self, dim: int) -> None:
        self._folder = tempfile.TemporaryDirectory()
        os.environ |= {"MEM0_TELEMETRY": "False", "MEM0_DIR": self._folder.name}
        unreachable = {"api_key": "none", "openai_base_url": "http://127.0.0.1:9/v1"}
        store = {"path": str(Path(self._folder.name) / "faiss"), "embedding_model_dims": dim}
        self._memory: Any = import_module("mem0").Memory.from_config(
            {
                "vector_store": {
                    "provider": "faiss",
                    "config": {"distance_strategy": "inner_product", **store},
                },
                "llm": {"provider": "openai", "config": unreachable},
                "embedder": {
                    "provider": "openai",
                    "config": {**unreachable, "embedding_dims": dim},
                },
                "history_db_path": ":memory:",
            }
        )
        self._memory.embedding_model = self
        self._vector: list[float] = []

    def embed(self, text: str, memory_action: str | None = None) -> list[float]:
        """The interface of mem0's embedders: the vector of the current text."""
        del text, memory_action
        return self._vector

    def embed_batch(self, texts: list[str], memory_action: str | None = None) -> list[list[float]]:
        """The vectors of several texts."""
        return [self.embed(text, memory_action) for text in texts]

    def fill(self, given: Sequence[tuple[str, Vector]]) -> None:
        """Write many memories to its store directly."""
        self._memory.vector_store.insert(
            vectors=[vector.tolist() for _, vector in given],
            payloads=[{"data": text, "user_id": _USER, "hash": ""} for text, _ in given],
            ids=[f"m{number}" for number in range(len(given))],
        )

    def add(self, text: str, vector: Vector) -> None:
        """Add a memory by mem0's `add`."""
        self._vector = vector.tolist()
        self._memory.add(text, user_id=_USER, infer=False)

    def search(self, text: str, vector: Vector, top_k: int) -> int:
        """The number of hits of mem0's `search`."""
        self._vector = vector.tolist()
        results = self._memory.search(text, filters={"user_id": _USER}, top_k=top_k)
        return len(results["results"])

    def close(self) -> None:
        """Remove its files."""
        self._folder.cleanup()
