"""Vectors for messages that were stored without one: a remote embedder's, or a new embedder's."""

from memory.recall.embedding import Embedder
from memory.recall.views import Views
from memory.store import RedisStore
from memory.types import User

_BATCH = 128


async def embed_backlog(user: User, *, store: RedisStore, embedder: Embedder, views: Views) -> int:
    """Embed what the user's index has no vector for, in batches that each count when stored.

    Returns:
        How many vectors were stored.

    Raises:
        EmbedderError: the provider failed; the batches before it are stored.
    """
    changes = await store.catch_up(user, views.cursor(user))
    index = (await views.current(user, changes)).index
    waiting, stored = index.unembedded, 0
    for start in range(0, len(waiting), _BATCH):
        batch = waiting[start : start + _BATCH]
        vectors = await embedder.embed([entry.message.spoken for entry in batch])
        stored += await store.embed(user, list(zip(batch, vectors, strict=True)))
    return stored
