"""Qdrant, on a server or in a local folder."""

from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from langchain_qdrant import QdrantVectorStore
from pydantic import SecretStr
from qdrant_client import QdrantClient
from qdrant_client.models import Distance, VectorParams


class QdrantDatabase:
    """A Qdrant collection per user.

    Args:
        url: URL of a server, or a local folder.
        key: API key of the server.
    """

    def __init__(self, url: str, key: SecretStr | None) -> None:
        self.batch_limit = 8 if "://" in url else 1
        self._client: Any = (
            QdrantClient(url=url, api_key=key.get_secret_value() if key else None)
            if "://" in url
            else QdrantClient(path=str(Path(url)), force_disable_check_same_thread=True)
        )

    def open(self, name: str, embeddings: Embeddings, dimensions: int) -> VectorStore:
        """Open a collection, creating it if needed."""
        if not self._client.collection_exists(name):
            params = VectorParams(size=dimensions, distance=Distance.COSINE)
            self._client.create_collection(name, vectors_config=params)
        return QdrantVectorStore(self._client, name, embeddings, validate_collection_config=False)

    def drop(self, name: str) -> None:
        """Delete a collection if it exists."""
        self._client.delete_collection(name)

    def close(self) -> None:
        """Close the client."""
        self._client.close()
