"""Vectors for messages that were stored without one: a remote embedder's, or a new embedder's."""

import contextlib
from dataclasses import replace

from memory.errors import RecordConflictError
from memory.recall.embedding import Embedder
from memory.recall.views import Views
from memory.store import RedisStore
from memory.store.recording import Write, write_records
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
    view = await views.current(user, changes)
    waiting, stored = view.index.unembedded, 0
    for start in range(0, len(waiting), _BATCH):
        batch = waiting[start : start + _BATCH]
        vectors = await embedder.embed([entry.message.spoken for entry in batch])
        stored += await store.embed(user, list(zip(batch, vectors, strict=True)))
    records = view.records.unembedded
    for start in range(0, len(records), _BATCH):
        kept = records[start : start + _BATCH]
        vectors = await embedder.embed([record.content for record in kept])
        writes = [
            Write(replace(record, revision=record.revision + 1), record, vector)
            for record, vector in zip(kept, vectors, strict=True)
        ]
        with contextlib.suppress(RecordConflictError):  # changed meanwhile: the next run has it
            await write_records(store, user, writes)
            stored += len(writes)
    return stored
