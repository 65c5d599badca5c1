"""Embeds messages that were stored without a vector, or with another embedder's."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from onionskin.memory.errors import EmbedderError, RecordConflictError
from onionskin.memory.retrieval.embedders.base import Embedder
from onionskin.memory.retrieval.index.index_cache import IndexCache
from onionskin.memory.retrieval.index.passages import passage_texts
from onionskin.memory.store import RecordWrite, RedisStore
from onionskin.memory.types.messages import Message, User, Vectors

EMBEDDING = "embed"
"""Purpose of the lease that lets one worker at a time embed for a user."""
_BATCH, _BATCH_SECONDS = 128, 120.0


def _ignore(_: int) -> None:
    """Do nothing."""


async def embed_missing(
    user: User,
    *,
    store: RedisStore,
    embedder: Embedder,
    indexes: IndexCache,
    on_stored: Callable[[int], None] = _ignore,
) -> int:
    """Embed the messages and records of a user that have no vector, and store each batch.

    Args:
        user: The user.
        store: Stores the vectors.
        embedder: Makes the vectors.
        indexes: The worker's indexes.
        on_stored: Called after each batch with the number of vectors stored.

    Returns:
        The number of vectors stored.

    Raises:
        EmbedderError: The provider failed; earlier batches are stored.
    """
    changes = await store.transcripts.changes_since(user, indexes.cursor(user))
    cached = await indexes.catch_up(user, changes)
    entries, stored = cached.index.unembedded, 0
    for start in range(0, len(entries), _BATCH):
        batch = entries[start : start + _BATCH]
        vectors = await _embed_messages(embedder, [entry.message for entry in batch])
        count = await store.transcripts.save_vectors(user, list(zip(batch, vectors, strict=True)))
        stored += count
        on_stored(count)
    records = cached.records.unembedded
    for start in range(0, len(records), _BATCH):
        batch_records = records[start : start + _BATCH]
        vectors = await _embed(embedder, [record.content for record in batch_records])
        writes = [
            RecordWrite(replace(record, revision=record.revision + 1), record, vector)
            for record, vector in zip(batch_records, vectors, strict=True)
        ]
        with contextlib.suppress(RecordConflictError):  # changed since: the next run embeds it
            await store.records.write(user, writes)
            stored += len(writes)
            on_stored(len(writes))
    return stored


async def _embed_messages(
    embedder: Embedder, messages: Sequence[Message]
) -> list[NDArray[np.float32]]:
    """The vector of each message, `(dim,)`; of a long one those of its passages, `(n, dim)`."""
    texts = [passage_texts(message) or [message.spoken] for message in messages]
    flat = [text for passages in texts for text in passages]
    vectors = np.concatenate(
        [
            await _embed(embedder, flat[start : start + _BATCH])
            for start in range(0, len(flat), _BATCH)
        ]
    )
    ends = np.cumsum([len(passages) for passages in texts])
    parts = np.split(vectors, ends[:-1])
    return [part if len(part) > 1 else part[0] for part in parts]


async def _embed(embedder: Embedder, texts: Sequence[str]) -> Vectors:
    try:
        async with asyncio.timeout(_BATCH_SECONDS):
            return await embedder.embed(texts)
    except TimeoutError as error:
        raise EmbedderError(
            f"The embedder {embedder.tag!r} timed out after {_BATCH_SECONDS:g} seconds "
            f"with {len(texts)} texts."
        ) from error
