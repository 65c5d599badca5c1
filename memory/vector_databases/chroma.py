"""Chroma: a server by its URL and key, or a folder for one that lives in this process."""

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
    """A collection of Chroma's for each user."""

    def __init__(self, url: str, key: SecretStr | None) -> None:
        self.batch_limit = 8 if "://" in url else 1
        settings, at = Settings(anonymized_telemetry=False), urlsplit(url)
        headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        self._client: Any = (
            chromadb.HttpClient(
                host=at.hostname or "localhost",
                port=at.port or 8000,
                ssl=at.scheme == "https",
                headers=headers,
                settings=settings,
            )
            if "://" in url
            else chromadb.PersistentClient(path=url, settings=settings)
        )

    def open(self, name: str, embeddings: Embeddings, dimensions: int) -> VectorStore:
        """The collection of a name, made if it is not there."""
        del dimensions  # those of the first vector
        return Chroma(name, embeddings, client=self._client, collection_metadata=_COSINE)

    def drop(self, name: str) -> None:
        """Delete the collection of a name, if it is there."""
        try:
            self._client.delete_collection(name)
        except NotFoundError:
            return

    def close(self) -> None:
        """Nothing: Chroma's clients close themselves."""


_COSINE = {"hnsw:space": "cosine"}
