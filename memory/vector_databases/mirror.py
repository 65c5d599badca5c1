"""Mirrors users' message vectors into a vector database."""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from langchain_core.vectorstores import VectorStore

from onionskin.memory.store import RedisStore
from onionskin.memory.types.change_log import Abandon, Changes, Cursor, DropSession, Put
from onionskin.memory.types.messages import Entry, User, Vector
from onionskin.memory.vector_databases.base import (
    PrecomputedEmbeddings,
    VectorDatabase,
    collection_name,
)

T = TypeVar("T")
_IDS = uuid.UUID("6f2f6a5e-3c5b-4e0e-9d8a-0c8f1f1f5a01")
_QUERY, _BATCH = "query", 256


class VectorDatabaseMirror:
    """A copy of the message vectors in a vector database, which can be rebuilt from Redis.

    Args:
        database: The vector database.
        store: Access to Redis, the source of truth.
    """

    def __init__(self, database: VectorDatabase, store: RedisStore) -> None:
        self._database, self._store = database, store
        self._sizes: dict[str, int] = {}
        self._slots = asyncio.Semaphore(database.batch_limit)

    async def search(self, user: User, vector: Vector, *, top_k: int) -> list[str]:
        """The ids of the messages nearest to a `(dim,)` vector, nearest first."""
        name = collection_name(user, self._store.embedder_tag)
        if not (await self._store.vector_database_cursors.get(user, name)).epoch:
            return []
        embeddings = PrecomputedEmbeddings({_QUERY: vector.tolist()})

        def ask(collection: VectorStore) -> list[str]:
            return [hit.page_content for hit in collection.similarity_search(_QUERY, k=top_k)]

        return await self._on(name, embeddings, len(vector), ask)

    async def sync(self, user: User) -> None:
        """Apply new changes of a user's transcript to their collection."""
        name = collection_name(user, self._store.embedder_tag)
        cursor, more = await self._store.vector_database_cursors.get(user, name), True
        while more:
            changes = await self._store.transcripts.changes_since(user, cursor)
            if not changes.cursor.epoch:
                return  # nothing is stored for the user
            if self._needs_refill(name, cursor, changes):
                await self._refill(user, name)
            else:
                for change in changes.items:
                    if isinstance(change, Abandon):
                        await self._delete(name, change.ids)
                    await self._put(name, change.entries if isinstance(change, Put) else ())
            cursor, more = changes.cursor, changes.more
            if not await self._store.vector_database_cursors.save(user, name, cursor):
                await self._thread(lambda: self._database.drop(name))
                return

    async def drop(self, user: User) -> None:
        """Delete all collections of a user."""
        names = set(await self._store.vector_database_cursors.collections(user))
        for name in names | {collection_name(user, self._store.embedder_tag)}:
            await self._thread(lambda name=name: self._database.drop(name))
            await self._store.vector_database_cursors.delete(user, name)

    async def close(self) -> None:
        """Close the database."""
        await self._thread(self._database.close)

    def _needs_refill(self, name: str, cursor: Cursor, changes: Changes) -> bool:
        """Whether a collection must be rebuilt: the changes cannot be applied to it."""
        unknown = DropSession if name in self._sizes else DropSession | Abandon
        return (
            changes.reload
            or changes.cursor.epoch != cursor.epoch
            or any(isinstance(change, unknown) for change in changes.items)
        )

    async def _refill(self, user: User, name: str) -> None:
        await self._store.vector_database_cursors.delete(user, name)
        await self._thread(lambda: self._database.drop(name))
        async for entries in self._store.transcripts.read_all(user):
            await self._put(name, entries)

    async def _put(self, name: str, entries: Sequence[Entry]) -> None:
        vectors = {
            entry.id: entry.vector.astype(np.float32).tolist()
            for entry in entries
            if entry.vector is not None
        }
        texts = list(vectors)
        for start in range(0, len(texts), _BATCH):
            batch = texts[start : start + _BATCH]
            ids = [str(uuid.uuid5(_IDS, entry_id)) for entry_id in batch]
            size = self._sizes[name] = len(vectors[batch[0]])
            await self._on(
                name,
                PrecomputedEmbeddings(vectors),
                size,
                lambda collection, batch=batch, ids=ids: collection.add_texts(batch, ids=ids),
            )

    async def _delete(self, name: str, entry_ids: Sequence[str]) -> None:
        ids = [str(uuid.uuid5(_IDS, entry_id)) for entry_id in entry_ids]
        embeddings, size = PrecomputedEmbeddings({}), self._sizes[name]
        await self._on(name, embeddings, size, lambda collection: collection.delete(ids))

    async def _on(
        self,
        name: str,
        embeddings: PrecomputedEmbeddings,
        dimensions: int,
        do: Callable[[VectorStore], T],
    ) -> T:
        return await self._thread(lambda: do(self._database.open(name, embeddings, dimensions)))

    async def _thread(self, do: Callable[[], T]) -> T:
        """Run a call in a thread; a cancelled call holds its slot until the thread is done."""
        await self._slots.acquire()
        running = asyncio.get_running_loop().run_in_executor(None, do)
        running.add_done_callback(self._done)
        return await asyncio.shield(running)

    def _done(self, call: asyncio.Future[Any]) -> None:
        self._slots.release()
        if not call.cancelled():
            call.exception()  # retrieved: the caller has it or was cancelled
