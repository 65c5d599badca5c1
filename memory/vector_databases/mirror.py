"""Mirrors users' message vectors into a vector database."""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from langchain_core.vectorstores import VectorStore

from onionskin.memory.retrieval.index.passages import passage_texts, split
from onionskin.memory.store import RedisStore
from onionskin.memory.types.change_log import Abandon, Changes, Cursor, DropSession, Put
from onionskin.memory.types.messages import Entry, User, Vector, Vectors
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
        encode: Embeds passages of long messages at once; None for a remote embedder.
    """

    def __init__(
        self,
        database: VectorDatabase,
        store: RedisStore,
        encode: Callable[[Sequence[str]], Vectors] | None = None,
    ) -> None:
        self._database, self._store, self._encode = database, store, encode
        self._sizes: dict[str, int] = {}
        self._slots = asyncio.Semaphore(database.batch_limit)

    async def search(self, user: User, vector: Vector, *, top_k: int) -> list[str]:
        """The ids of the messages nearest to a `(dim,)` vector, nearest first.

        A passage of a long message has the id `<message id>#<number>`.
        """
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
                        await self._delete(user, name, change.ids)
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
            name: vector.tolist() for entry in entries for name, vector in self._vectors_of(entry)
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

    async def _delete(self, user: User, name: str, entry_ids: Sequence[str]) -> None:
        entries = await self._store.transcripts.entries(user, entry_ids)
        names = list(entry_ids)
        for entry in entries.values():
            passages = range(len(split(entry.message.content)))
            names += [f"{entry.id}#{number}" for number in passages]
        ids = [str(uuid.uuid5(_IDS, one)) for one in names]
        embeddings, size = PrecomputedEmbeddings({}), self._sizes[name]
        await self._on(name, embeddings, size, lambda collection: collection.delete(ids))

    def _vectors_of(self, entry: Entry) -> list[tuple[str, Vector]]:
        """The names and vectors of a message: one, or one for each passage of a long one."""
        texts = passage_texts(entry.message) if self._encode else []
        if self._encode and texts:
            vectors = self._encode(texts)
        elif entry.vector is None:
            return []
        else:
            vectors = np.atleast_2d(entry.vector).astype(np.float32)
        if len(vectors) == 1:
            return [(entry.id, vectors[0])]
        return [(f"{entry.id}#{number}", vector) for number, vector in enumerate(vectors)]

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
