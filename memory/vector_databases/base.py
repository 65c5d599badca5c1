"""Collections of a vector database: one for each user and embedder, not one with a filter.

What is stored in one are ids and vectors. What was said stays in Redis: a hit is read from there,
under the user's own keys, so that nothing that was deleted, and nothing of anybody else, is shown.

Vectors that are there already, as LangChain's stores want to be given them.
"""

import hashlib
import importlib
from collections.abc import Callable, Mapping
from typing import Protocol

from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from pydantic import SecretStr

from onionskin.memory.errors import ConfigurationError
from onionskin.memory.store.keys import prefix
from onionskin.memory.types.messages import User


class VectorDatabase(Protocol):
    """A vector database. Its methods run in threads.

    Attributes:
        most_at_once: how many of them; 1 for one that is not made for threads.
    """

    batch_limit: int

    def open(self, name: str, embeddings: Embeddings, dimensions: int) -> VectorStore:
        """The collection of a name, made if it is not there."""
        ...

    def drop(self, name: str) -> None:
        """Delete the collection of a name, if it is there."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...


def collection_name(user: User, embedder_tag: str) -> str:
    """The name of a user's collection: it says nothing of the user, and nobody else has it."""
    owner = f"{prefix(user)}{embedder_tag}".encode()
    return f"onionskin-{hashlib.sha256(owner).hexdigest()[:40]}"


def open_vector_database(kind: str, url: str, key: SecretStr | None) -> VectorDatabase:
    """The vector database of the settings.

    Args:
        kind: `qdrant`, `chroma`, or the dotted path of a class or function that is called with the
            two others and makes `Collections`.
        url: where it is: an address, or a folder for one that lives in this process.
        key: for those that want one.

    Raises:
        ConfigurationError: there is none of this name, or its package is missing.
    """
    module, _, name = _KINDS.get(kind, kind).rpartition(".")
    if not module:
        known = ", ".join(sorted(_KINDS))
        raise ConfigurationError(
            f"ONIONSKIN_VECTOR_STORE {kind!r} is not known; use {known}, or a dotted path."
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
    """Answers with the vectors that it was made with.

    Args:
        vectors: by the text that stands for each.
    """

    def __init__(self, vectors: Mapping[str, list[float]]) -> None:
        self._vectors = vectors

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The vectors that stand under these texts."""
        return [self._vectors[text] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """The vector that stands under this text."""
        return self._vectors[text]
