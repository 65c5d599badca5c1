"""Embeds a turn's message and ranks candidates while the Redis read is in flight."""

from datetime import timedelta

from onionskin.memory.retrieval.embedders.base import Embedder, embed_with_timeout
from onionskin.memory.retrieval.index.index_cache import IndexCache
from onionskin.memory.retrieval.index.user_index import UserIndex
from onionskin.memory.types.messages import User, Vector


class QueryPrefetcher:
    """Embeds messages within a timeout, and ranks a cached index in advance.

    Args:
        embedder: Embeds the messages.
        timeout: Time limit per embedding; after it, a turn continues with words alone.
        indexes: The worker's indexes; None to rank nothing in advance.
        idle: Whether turns need no vectors of their messages.
    """

    def __init__(
        self,
        embedder: Embedder,
        timeout: timedelta,
        indexes: IndexCache | None,
        *,
        idle: bool = False,
    ) -> None:
        self._embedder, self._seconds, self._idle = embedder, timeout.total_seconds(), idle
        self._indexes = indexes if embedder.local else None

    async def prefetch(self, user: User, text: str) -> Vector | None:
        """The vector of a message; None after a timeout, or where turns need none.

        An index that was up to date in the last turn is ranked at once, before Redis confirms
        that it still is. In that case the search finds the ranking ready.
        """
        if self._idle:
            return None
        vector = await self.embed(text)
        cached = self._indexes.peek(user) if self._indexes else None
        if cached is not None:
            query_vector = await self.query_vector(text, vector, cached.index)
            cached.index.prefetch_ranking(text, query_vector)
        return vector

    async def query_vector(
        self, text: str, vector: Vector | None, index: UserIndex | None
    ) -> Vector | None:
        """The vector to search by; a remote embedder is not called a second time."""
        if index is None or not self._embedder.local:
            return vector
        query = index.strip_names(text)
        return vector if query == text else await self.embed(query)

    async def embed(self, text: str) -> Vector | None:
        """The `(dim,)` vector of a text; None after a timeout or an error."""
        return (await embed_with_timeout(self._embedder, [text], self._seconds))[0]
