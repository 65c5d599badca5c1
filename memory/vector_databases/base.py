"""The vector database interface: one collection per user and embedder.

A collection stores ids and vectors only. Message text stays in Redis and is read there under the
user's own keys, so deleted messages and those of other users are never shown.
"""

import hashlib
import importlib
from collections.abc import Callable, Mapping
from typing import Protocol

from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from pydantic import SecretStr

from onionskin.memory.errors import ConfigurationError
from onionskin.memory.store import keys
from onionskin.memory.types.messages import User


class VectorDatabase(Protocol):
    """A vector database. Its methods run in threads.

    Attributes:
        batch_limit: Most concurrent calls; 1 if the client is not thread-safe.
    """

    batch_limit: int

    def open(self, name: str, embeddings: Embeddings, dimensions: int) -> VectorStore:
        """Open a collection, creating it if needed."""
        ...

    def drop(self, name: str) -> None:
        """Delete a collection if it exists."""
        ...

    def close(self) -> None:
        """Close the client."""
        ...


def collection_name(user: User, embedder_tag: str) -> str:
    """The name of a user's collection: unique, and a hash that does not reveal the user."""
    owner = f"{keys.prefix(user)}{embedder_tag}".encode()
    return f"onionskin-{hashlib.sha256(owner).hexdigest()[:40]}"


def open_vector_database(kind: str, url: str, key: SecretStr | None) -> VectorDatabase:
    """The vector database of the settings.

    Args:
        kind: `qdrant`, `chroma`, or the dotted path of a callable that takes `url` and `key` and
            returns a `VectorDatabase`.
        url: URL of a server, or folder of an in-process database.
        key: API key, if the database needs one.

    Raises:
        ConfigurationError: The kind is unknown, or its package is missing.
    """
    module, _, name = _KINDS.get(kind, kind).rpartition(".")
    if not module:
        known = ", ".join(sorted(_KINDS))
        raise ConfigurationError(
            f"ONIONSKIN_VECTOR_STORE {kind!r} is unknown; use {known}, or a dotted path."
        )
    try:
        make: Callable[[str, SecretStr | None], VectorDatabase]
        make = getattr(importlib.import_module(module), name)
        return make(url, key)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"ONIONSKIN_VECTOR_STORE {kind!r} cannot be used: {error}."
        ) from error


_KINDS: Mapping[str, str] = {
    "qdrant": "onionskin.memory.vector_databases.qdrant.QdrantDatabase",
    "chroma": "onionskin.memory.vector_databases.chroma.ChromaDatabase",
}


class PrecomputedEmbeddings(Embeddings):
    """LangChain embeddings that return precomputed vectors.

    Args:
        vectors: Vectors by text.
    """

    def __init__(self, vectors: Mapping[str, list[float]]) -> None:
        self._vectors = vectors

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The vectors of `texts`."""
        return [self._vectors[text] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """The vector of `text`."""
        return self._vectors[text]
