"""Vectors for messages that were stored without one: a remote embedder's, or a new embedder's."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from onionskin.memory.errors import EmbedderError, RecordConflictError
from onionskin.memory.retrieval.embedders.base import Embedder
from onionskin.memory.retrieval.index.index_cache import IndexCache
from onionskin.memory.store import RedisStore
from onionskin.memory.store.records import RecordWrite, write_records
from onionskin.memory.types.messages import User, Vectors

EMBEDDING = "embed"
"""The purpose of the lease under which one worker at a time embeds for a user."""
_BATCH, _BATCH_SECONDS = 128, 120.0


def _tell_nobody(_: int) -> None:
    """Nothing."""


async def embed_missing(
    user: User,
    *,
    store: RedisStore,
    embedder: Embedder,
    views: IndexCache,
    tell: Callable[[int], None] = _tell_nobody,
) -> int:
    """Embed what the user's index has no vector for, in batches that each count when stored.

    Args:
        user: whose messages and records they are.
        store: keeps the vectors.
        embedder: makes them.
        views: the worker's indexes.
        tell: told how many vectors each batch stored.

    Returns:
        How many vectors were stored.

    Raises:
        EmbedderError: the provider failed; the batches before it are stored.
    """
    changes = await store.catch_up(user, views.cursor(user))
    view = await views.catch_up(user, changes)
    waiting, stored = view.index.unembedded, 0
    for start in range(0, len(waiting), _BATCH):
        batch = waiting[start : start + _BATCH]
        vectors = await _embedded(embedder, [entry.message.spoken for entry in batch])
        count = await store.embed(user, list(zip(batch, vectors, strict=True)))
        stored += count
        tell(count)
    records = view.records.unembedded
    for start in range(0, len(records), _BATCH):
        kept = records[start : start + _BATCH]
        vectors = await _embedded(embedder, [record.content for record in kept])
        writes = [
            RecordWrite(replace(record, revision=record.revision + 1), record, vector)
            for record, vector in zip(kept, vectors, strict=True)
        ]
        with contextlib.suppress(RecordConflictError):  # changed meanwhile: the next run has it
            await write_records(store, user, writes)
            stored += len(writes)
            tell(len(writes))
    return stored


async def _embedded(embedder: Embedder, texts: Sequence[str]) -> Vectors:
    try:
        async with asyncio.timeout(_BATCH_SECONDS):
            return await embedder.embed(texts)
    except TimeoutError as error:
        raise EmbedderError(
            f"The embedder {embedder.tag!r} had {len(texts)} texts for {_BATCH_SECONDS:g} seconds."
        ) from error
