"""Onionskin's embedder as LangChain `Embeddings`."""

import numpy as np
from langchain_core.embeddings import Embeddings

from onionskin.memory.langchain.client import Onionskin


class OnionskinEmbeddings(Embeddings):
    """The embedder of an open Onionskin.

    Args:
        onionskin: The open memory.
    """

    def __init__(self, onionskin: Onionskin) -> None:
        self._embedder, self._event_loop = onionskin.embedder, onionskin.event_loop

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """As `aembed_documents`, from a thread without an event loop."""
        return self._event_loop.run_blocking(self.aembed_documents(texts))

    def embed_query(self, text: str) -> list[float]:
        """As `aembed_query`."""
        return self.embed_documents([text])[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """A vector of unit length for each text."""
        vectors = await self._event_loop.run(self._embedder.embed(texts))
        return np.asarray(vectors).tolist()

    async def aembed_query(self, text: str) -> list[float]:
        """The vector of one text."""
        return (await self.aembed_documents([text]))[0]
