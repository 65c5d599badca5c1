"""A user's index as a LangChain vector store of messages and memories.

Synchronous methods run the asynchronous ones on Onionskin's event loop.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from onionskin.memory.errors import EmbedderError, InvalidInputError
from onionskin.memory.langchain.client import Onionskin
from onionskin.memory.langchain.documents import (
    Filter,
    document_id,
    document_of_record,
    draft_of,
    metadata_of,
    predicate_of,
    records_with,
)
from onionskin.memory.langchain.embeddings import OnionskinEmbeddings
from onionskin.memory.langchain.vectorstore_search import IndexSearch
from onionskin.memory.records.service import RecordService
from onionskin.memory.retrieval import VectorHit, embed_with_timeout
from onionskin.memory.types.messages import User, Vector

_EMBED_SECONDS = 30.0


class OnionskinVectorStore(VectorStore):
    """The messages and memories of one user.

    Added texts become memories (notes): the API lists them, recall finds them, erasing the user
    erases them. `similarity_search` ranks like recall, by words and meaning. Searches with scores,
    by vector, or by maximum marginal relevance use the cosine similarity. A filter is a
    predicate on
    documents, or a mapping with operators such as `$in` and `$gt`; an unknown operator is refused.

    Args:
        onionskin: The open memory.
        user: Owner of the index.
        messages: Whether searches include messages besides memories.
    """

    def __init__(self, onionskin: Onionskin, user: User, *, messages: bool = True) -> None:
        self._onionskin, self._user, self._messages = onionskin, user, messages
        self._event_loop = onionskin.event_loop
        self._memories = RecordService(
            onionskin.store,
            onionskin.indexes,
            onionskin.embedder,
            embed_seconds=_EMBED_SECONDS,
            privacy=onionskin.privacy,
        )

    @property
    def embeddings(self) -> Embeddings:
        """Onionskin's embedder."""
        return OnionskinEmbeddings(self._onionskin)

    async def aadd_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Store texts as memories; a text with a known id replaces its memory.

        Raises:
            InvalidInputError: Texts, metadata and ids differ in number.
        """
        del kwargs
        added = list(texts)
        own: list[str | None] = list(ids) if ids else [None] * len(added)
        if len(own) != len(added):
            raise InvalidInputError(f"There are {len(added)} texts, and {len(own)} ids.")
        return await self._event_loop.run(self._add(added, metadata_of(added, metadatas), own))

    async def adelete(self, ids: list[str] | None = None, **kwargs: Any) -> bool | None:
        """Delete memories and skip unknown ids; messages are only deleted with their session.

        Raises:
            InvalidInputError: No ids are given; only erasing the user deletes everything.
        """
        del kwargs
        if ids is None:
            raise InvalidInputError("Pass the ids of the documents to delete.")
        return await self._event_loop.run(self._delete(ids))

    async def aget_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The memories with these ids; unknown ids, and those of expired memories, are skipped."""
        records = await self._event_loop.run(self._memories.index(self._user))
        now = self._memories.clock()
        found = records_with(records, ids)
        return [document_of_record(record) for record in found if record.is_alive(now)]

    async def asimilarity_search(
        self,
        query: str,
        k: int = 4,
        *,
        filter: Filter = None,  # noqa: A002 - LangChain's name
        **kwargs: Any,
    ) -> list[Document]:
        """The `k` best documents, ranked as in recall, filled up with the nearest ones."""
        del kwargs
        return await self._event_loop.run(self._ranked(query, k, filter))

    async def asimilarity_search_with_score(
        self,
        query: str,
        k: int = 4,
        *,
        filter: Filter = None,  # noqa: A002 - LangChain's name
        **kwargs: Any,
    ) -> list[tuple[Document, float]]:
        """The documents nearest to a query, with their cosine similarity.

        Raises:
            EmbedderError: The query could not be embedded.
        """
        del kwargs
        return await self._event_loop.run(self._near(query, k, filter))

    async def asimilarity_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        *,
        filter: Filter = None,  # noqa: A002 - LangChain's name
        **kwargs: Any,
    ) -> list[Document]:
        """The documents nearest to a vector of Onionskin's embedder."""
        del kwargs
        found = await self._event_loop.run(self._nearest(embedding, k, filter))
        return [document for document, _ in found]

    async def amax_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: Filter = None,  # noqa: A002 - LangChain's name
        **kwargs: Any,
    ) -> list[Document]:
        """`k` diverse documents among the `fetch_k` nearest to a vector."""
        del kwargs
        nearest = await self._event_loop.run(self._nearest(embedding, fetch_k, filter))
        vectors = [near.vector.tolist() for _, near in nearest]
        query = np.asarray(embedding, np.float32)
        chosen = maximal_marginal_relevance(query, vectors, lambda_mult, k)
        return [nearest[place][0] for place in chosen]

    async def amax_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """`k` diverse documents among the `fetch_k` nearest to a query."""
        vector = await self._event_loop.run(self._embedded(query))
        return await self.amax_marginal_relevance_search_by_vector(
            vector.tolist(), k, fetch_k, lambda_mult, **kwargs
        )

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """As `aadd_texts`."""
        return self._event_loop.run_blocking(self.aadd_texts(texts, metadatas, ids=ids, **kwargs))

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool | None:
        """As `adelete`."""
        return self._event_loop.run_blocking(self.adelete(ids, **kwargs))

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """As `aget_by_ids`."""
        return self._event_loop.run_blocking(self.aget_by_ids(ids))

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """As `asimilarity_search`."""
        return self._event_loop.run_blocking(self.asimilarity_search(query, k, **kwargs))

    def similarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """As `asimilarity_search_with_score`."""
        return self._event_loop.run_blocking(self.asimilarity_search_with_score(query, k, **kwargs))

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """As `asimilarity_search_by_vector`."""
        return self._event_loop.run_blocking(
            self.asimilarity_search_by_vector(embedding, k, **kwargs)
        )

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """As `amax_marginal_relevance_search`."""
        asked = self.amax_marginal_relevance_search(query, k, fetch_k, lambda_mult, **kwargs)
        return self._event_loop.run_blocking(asked)

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
        return self._event_loop.run_blocking(asked)

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings | None = None,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """A store with texts; `onionskin` and `user` as for the class.

        Raises:
            InvalidInputError: `embedding` is not Onionskin's own.
        """
        store = cls(**kwargs)
        if embedding is not None and not isinstance(embedding, OnionskinEmbeddings):
            raise InvalidInputError(
                "Onionskin embeds by itself: open it with the embedder that is wanted."
            )
        store.add_texts(texts, metadatas, ids=ids)
        return store

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return _relevance

    async def _add(
        self, texts: list[str], metadatas: list[dict[str, Any]], ids: list[str | None]
    ) -> list[str]:
        known = await self._memories.index(self._user)
        own = {document_id(one): one for one in known}
        drafts: dict[str, dict[str, Any]] = {}
        for place, (text, metadata, given) in enumerate(zip(texts, metadatas, ids, strict=True)):
            held = own.get(given) if given else None
            if held and held.id == given:  # it was added without an id of its own
                fields = {"content": text, "metadata": metadata}
                await self._memories.update(self._user, held.id, fields, replaces_metadata=True)
            else:
                drafts[given or f"\0{place}"] = draft_of(text, metadata, given)
        made = await self._memories.create(self._user, list(drafts.values())) if drafts else []
        new = dict(zip(drafts, (one.id for one in made), strict=True))
        return [one or new[f"\0{place}"] for place, one in enumerate(ids)]

    async def _delete(self, ids: Sequence[str]) -> bool:
        found = records_with(await self._memories.index(self._user), ids)
        await self._memories.delete(self._user, [one.id for one in found])
        return True

    async def _ranked(self, query: str, k: int, wanted: Filter) -> list[Document]:
        query = self._onionskin.privacy.for_storage(query)
        (vector,) = await embed_with_timeout(self._onionskin.embedder, [query], _EMBED_SECONDS)
        return (await self._searched(wanted)).ranked(query, vector, k)

    async def _near(self, query: str, k: int, wanted: Filter) -> list[tuple[Document, float]]:
        searched, vector = await asyncio.gather(self._searched(wanted), self._embedded(query))
        return [(document, near.cosine) for document, near in searched.nearest(vector, k)]

    async def _nearest(
        self, embedding: list[float], k: int, wanted: Filter
    ) -> list[tuple[Document, VectorHit]]:
        return (await self._searched(wanted)).nearest(np.asarray(embedding, np.float32), k)

    async def _embedded(self, query: str) -> Vector:
        kept = self._onionskin.privacy.for_storage(query)
        (vector,) = await embed_with_timeout(self._onionskin.embedder, [kept], _EMBED_SECONDS)
        if vector is None:
            raise EmbedderError("The query could not be embedded. Try again.")
        return vector

    async def _searched(self, wanted: Filter) -> IndexSearch:
        predicate = predicate_of(wanted)
        view = await self._onionskin.indexes.refresh(self._user)
        return IndexSearch(view, self._messages, predicate)


def _relevance(cosine: float) -> float:
    """A relevance from 0 to 1, as LangChain's score thresholds expect."""
    return min(max(cosine, 0.0), 1.0)
