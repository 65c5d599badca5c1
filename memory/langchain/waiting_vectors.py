"""The synchronous face of a vector store: each call waits for the asynchronous one."""

from collections.abc import Iterable, Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStore

from memory.langchain.portal import Portal


class WaitingVectors(VectorStore):
    """A vector store that is asynchronous, for programs that are not.

    Attributes:
        portal: the way to the event loop.
    """

    portal: Portal

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """As `aadd_texts`."""
        return self.portal.wait(self.aadd_texts(texts, metadatas, ids=ids, **kwargs))

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool | None:
        """As `adelete`."""
        return self.portal.wait(self.adelete(ids, **kwargs))

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """As `aget_by_ids`."""
        return self.portal.wait(self.aget_by_ids(ids))

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """As `asimilarity_search`."""
        return self.portal.wait(self.asimilarity_search(query, k, **kwargs))

    def similarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """As `asimilarity_search_with_score`."""
        return self.portal.wait(self.asimilarity_search_with_score(query, k, **kwargs))

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """As `asimilarity_search_by_vector`."""
        return self.portal.wait(self.asimilarity_search_by_vector(embedding, k, **kwargs))

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """As `amax_marginal_relevance_search`."""
        asked = self.amax_marginal_relevance_search(query, k, fetch_k, lambda_mult, **kwargs)
        return self.portal.wait(asked)

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """As `amax_marginal_relevance_search_by_vector`."""
        asked = self.amax_marginal_relevance_search_by_vector(
            embedding, k, fetch_k, lambda_mult, **kwargs
        )
        return self.portal.wait(asked)
