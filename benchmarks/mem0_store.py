"""mem0 over a local FAISS store, for the benchmarks; wants the extra `bench`.

Its embedder is given the vectors, and `infer=False` keeps its model out of it: what is measured is
mem0's own work.
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
    """A mem0 of one user.

    Raises:
        ImportError: mem0 is not installed.
    """

    def __init__(self, dim: int) -> None:
        self._folder = tempfile.TemporaryDirectory()
        os.environ |= {"MEM0_TELEMETRY": "False", "MEM0_DIR": self._folder.name}
        nowhere = {"api_key": "none", "openai_base_url": "http://127.0.0.1:9/v1"}
        store = {"path": str(Path(self._folder.name) / "faiss"), "embedding_model_dims": dim}
        self._memory: Any = import_module("mem0").Memory.from_config(
            {
                "vector_store": {
                    "provider": "faiss",
                    "config": {"distance_strategy": "inner_product", **store},
                },
                "llm": {"provider": "openai", "config": nowhere},
                "embedder": {"provider": "openai", "config": {**nowhere, "embedding_dims": dim}},
                "history_db_path": ":memory:",
            }
        )
        self._memory.embedding_model = self
        self._vector: list[float] = []

    def embed(self, text: str, memory_action: str | None = None) -> list[float]:
        """What mem0 asks its embedder."""
        del text, memory_action
        return self._vector

    def embed_batch(self, texts: list[str], memory_action: str | None = None) -> list[list[float]]:
        """The same, for several texts."""
        return [self.embed(text, memory_action) for text in texts]

    def fill(self, given: Sequence[tuple[str, Vector]]) -> None:
        """Many memories at once, straight into its store."""
        self._memory.vector_store.insert(
            vectors=[vector.tolist() for _, vector in given],
            payloads=[{"data": text, "user_id": _USER, "hash": ""} for text, _ in given],
            ids=[f"m{number}" for number in range(len(given))],
        )

    def add(self, text: str, vector: Vector) -> None:
        """One memory, by mem0's own `add`."""
        self._vector = vector.tolist()
        self._memory.add(text, user_id=_USER, infer=False)

    def search(self, text: str, vector: Vector, top_k: int) -> int:
        """mem0's own `search`; how many it found."""
        self._vector = vector.tolist()
        found = self._memory.search(text, filters={"user_id": _USER}, top_k=top_k)
        return len(found["results"])

    def close(self) -> None:
        """Remove its files."""
        self._folder.cleanup()
