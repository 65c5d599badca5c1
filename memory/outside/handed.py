"""Vectors that are there already, as LangChain's stores want to be given them."""

from collections.abc import Mapping

from langchain_core.embeddings import Embeddings


class Handed(Embeddings):
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
