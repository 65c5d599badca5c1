"""Vector collections that record deletions in a file, which tests read while a service runs."""

from pathlib import Path

from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore
from pydantic import SecretStr


class RecordingCollections:
    """In memory; each `drop` adds a line to the file that is named as URL."""

    batch_limit = 1

    def __init__(self, url: str, key: SecretStr | None) -> None:
        self._file, self._held = Path(url), dict[str, InMemoryVectorStore]()
        self._key = key

    def open(self, name: str, embeddings: Embeddings, dimensions: int) -> InMemoryVectorStore:
        """The collection of a name."""
        held = self._held.setdefault(name, InMemoryVectorStore(embeddings))
        held.embedding = embeddings
        return held

    def drop(self, name: str) -> None:
        """Forget it."""
        self._held.pop(name, None)
        with self._file.open("a") as file:
            print(name, file=file)

    def close(self) -> None:
        """Nothing."""
