"""Chroma, on a server or in a local folder."""

from typing import Any
from urllib.parse import urlsplit

import chromadb
from chromadb.config import Settings
from chromadb.errors import NotFoundError
from langchain_chroma import Chroma
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from pydantic import SecretStr


class ChromaDatabase:
    """A Chroma collection per user.

    Args:
        url: URL of a server, or a local folder.
        key: API key of the server.
    """

    def __init__(self, url: str, key: SecretStr | None) -> None:
        self.batch_limit = 8 if "://" in url else 1
        settings, parts = Settings(anonymized_telemetry=False), urlsplit(url)
        headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        self._client: Any = (
            chromadb.HttpClient(
                host=parts.hostname or "localhost",
                port=parts.port or 8000,
                ssl=parts.scheme == "https",
                headers=headers,
                settings=settings,
            )
            if "://" in url
            else chromadb.PersistentClient(path=url, settings=settings)
        )

    def open(self, name: str, embeddings: Embeddings, dimensions: int) -> VectorStore:
        """Open a collection, creating it if needed."""
        del dimensions  # Chroma takes them from the first vector
        return Chroma(name, embeddings, client=self._client, collection_metadata=_COSINE)

    def drop(self, name: str) -> None:
        """Delete a collection if it exists."""
        try:
            self._client.delete_collection(name)
        except NotFoundError:
            return

    def close(self) -> None:
        """Do nothing: Chroma's clients need no closing."""


_COSINE = {"hnsw:space": "cosine"}
