"""What can be done for a turn while Redis is waited for: its vector, and what it brings to mind."""

from datetime import timedelta

from onionskin.memory.retrieval.embedders.base import Embedder, embed_with_timeout
from onionskin.memory.retrieval.index.index_cache import IndexCache
from onionskin.memory.retrieval.index.user_index import UserIndex
from onionskin.memory.types.messages import User, Vector


class QueryPrefetcher:
    """Embeds messages within a time, and ranks by them what a worker has at hand.

    Args:
        embedder: of messages.
        within: how long a turn waits for it before it goes on with words alone.
        views: the worker's indexes; None to rank nothing ahead.
        idle: whether turns have no use for vectors of their messages.
    """

    def __init__(
        self, embedder: Embedder, within: timedelta, views: IndexCache | None, *, idle: bool = False
    ) -> None:
        self._embedder, self._seconds, self._idle = embedder, within.total_seconds(), idle
        self._views = views if embedder.local else None

    async def prefetch(self, user: User, text: str) -> Vector | None:
        """The vector of a message; None where there is none in time, or no use for it.

        An index that was up to date a turn ago is searched at once, before Redis has told whether
        it still is: then the search is done when it is asked for.
        """
        if self._idle:
            return None
        vector = await self.embed(text)
        view = self._views.peek(user) if self._views else None
        if view:
            view.index.prefetch_ranking(text, await self.query_vector(text, vector, view.index))
        return vector

    async def query_vector(
        self, text: str, vector: Vector | None, index: UserIndex | None
    ) -> Vector | None:
        """The vector to search by; a remote embedder is not asked a second time."""
        if index is None or not self._embedder.local:
            return vector
        query = index.strip_names(text)
        return vector if query == text else await self.embed(query)

    async def embed(self, text: str) -> Vector | None:
        """The `(dim,)` vector of a text; None where there is none in time."""
        return (await embed_with_timeout(self._embedder, [text], self._seconds))[0]
