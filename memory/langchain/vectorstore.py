"""A user's index as LangChain's vector store: what was said and noted, found and added to.

The synchronous face of a vector store: each call waits for the asynchronous one.
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
    records_with,
)
from onionskin.memory.langchain.embeddings import OnionskinEmbeddings
from onionskin.memory.langchain.vectorstore_search import IndexSearch
from onionskin.memory.records.service import RecordService
from onionskin.memory.retrieval import VectorHit, embed_with_timeout
from onionskin.memory.types.messages import User, Vector

_EMBED_SECONDS = 30.0


class OnionskinVectorStore(VectorStore):
    """The index of one user, and of nobody else.

    What is added is kept as a memory (a note): the API lists it, recall finds it, erasing the user
    erases it. `similarity_search` ranks as recall does, by words and meaning; with scores, by a
    vector, or by maximum marginal relevance, the cosine decides.

    Args:
        onionskin: where it is kept.
        user: whose.
        messages: whether what the user and the assistant said is found, too.
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
        """Keep texts as memories; under an id that is known, in place of what it has.

        Raises:
            InvalidInputError: there are not as many metadata or ids as texts.
        """
        del kwargs
        added = list(texts)
        own: list[str | None] = list(ids) if ids else [None] * len(added)
        if len(own) != len(added):
            raise InvalidInputError(f"There are {len(added)} texts, and {len(own)} ids.")
        return await self._event_loop.run(self._add(added, metadata_of(added, metadatas), own))

    async def adelete(self, ids: list[str] | None = None, **kwargs: Any) -> bool | None:
        """Delete memories; ids that nothing has are passed over. Messages go with their session.

        Raises:
            InvalidInputError: no ids are given; all of a user is erased with the user.
        """
        del kwargs
        if ids is None:
            raise InvalidInputError("Say which documents to delete, by their ids.")
        return await self._event_loop.run(self._delete(ids))

    async def aget_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The memories of some ids; those that nothing has are left out."""
        records = await self._event_loop.run(self._memories.index(self._user))
        return [document_of_record(one) for one in records_with(records, ids)]

    async def asimilarity_search(
        self,
        query: str,
        k: int = 4,
        *,
        filter: Filter = None,  # noqa: A002 - LangChain's name
        **kwargs: Any,
    ) -> list[Document]:
        """What bears on a query, ranked as in recall; what does not, behind it, up to `k`."""
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
        """What is nearest to a query, with its cosine.

        Raises:
            EmbedderError: the query could not be embedded.
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
        """What is nearest to a vector of Onionskin's embedder."""
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
        """Of the `fetch_k` nearest to a vector, `k` that say different things."""
        del kwargs
        found = await self._event_loop.run(self._nearest(embedding, fetch_k, filter))
        held = [near.vector.tolist() for _, near in found]
        asked = np.asarray(embedding, np.float32)
        chosen = maximal_marginal_relevance(asked, held, lambda_mult, k)
        return [found[one][0] for one in chosen]

    async def amax_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """The same for a query."""
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
        """A store with texts in it; `onionskin` and `user` as for the class.

        Raises:
            InvalidInputError: an `embedding` is given that is not the store's own.
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
                await self._memories.update(self._user, held.id, fields)
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
        view = await self._onionskin.indexes.refresh(self._user)
        return IndexSearch(view, self._messages, wanted)


def _relevance(cosine: float) -> float:
    """0 to 1, as LangChain's thresholds have it."""
    return min(max(cosine, 0.0), 1.0)
