"""A user's messages in a vector database: filled from the transcript, searched, dropped."""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from langchain_core.vectorstores import VectorStore

from onionskin.memory.store import RedisStore
from onionskin.memory.types.change_log import Changes, Cursor, DropSession, Put
from onionskin.memory.types.messages import Entry, User, Vector
from onionskin.memory.vector_databases.base import (
    PrecomputedEmbeddings,
    VectorDatabase,
    collection_name,
)

T = TypeVar("T")
_IDS = uuid.UUID("6f2f6a5e-3c5b-4e0e-9d8a-0c8f1f1f5a01")
_ASKED, _BATCH = "what is asked for", 256


class VectorDatabaseMirror:
    """A view of every user in a vector database.

    Nothing in it is the truth: what is lost is filled again from Redis.

    Args:
        collections: the database.
        store: the source of truth.
    """

    def __init__(self, database: VectorDatabase, store: RedisStore) -> None:
        self._database, self._store = database, store
        self._slots = asyncio.Semaphore(database.batch_limit)

    async def search(self, user: User, vector: Vector, *, top_k: int) -> list[str]:
        """The ids of the messages nearest to a `(dim,)` vector, the nearest first."""
        name = collection_name(user, self._store.embedder_tag)
        if not (await self._store.vector_database_cursors.get(user, name)).epoch:
            return []
        handed = PrecomputedEmbeddings({_ASKED: vector.tolist()})

        def ask(collection: VectorStore) -> list[str]:
            return [one.page_content for one in collection.similarity_search(_ASKED, k=top_k)]

        return await self._on(name, handed, len(vector), ask)

    async def sync(self, user: User) -> None:
        """Bring a user's collection to where the transcript stands."""
        name = collection_name(user, self._store.embedder_tag)
        cursor, more = await self._store.vector_database_cursors.get(user, name), True
        while more:
            changes = await self._store.transcripts.changes_since(user, cursor)
            if not changes.cursor.epoch:
                return  # nothing is stored of them
            if _begins_anew(cursor, changes):
                await self._refill(user, name)
            else:
                for change in changes.items:
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
            ids = [str(uuid.uuid5(_IDS, one)) for one in batch]
            size = len(vectors[batch[0]])
            await self._on(
                name,
                PrecomputedEmbeddings(vectors),
                size,
                lambda collection, batch=batch, ids=ids: collection.add_texts(batch, ids=ids),
            )

    async def _on(
        self,
        name: str,
        handed: PrecomputedEmbeddings,
        dimensions: int,
        do: Callable[[VectorStore], T],
    ) -> T:
        return await self._thread(lambda: do(self._database.open(name, handed, dimensions)))

    async def _thread(self, do: Callable[[], T]) -> T:
        """A call that is given up holds its slot until its thread is done with it."""
        await self._slots.acquire()
        under_way = asyncio.get_running_loop().run_in_executor(None, do)
        under_way.add_done_callback(self._done)
        return await asyncio.shield(under_way)

    def _done(self, call: asyncio.Future[Any]) -> None:
        self._slots.release()
        if not call.cancelled():
            call.exception()  # whoever waited for it was told, or has gone


def _begins_anew(cursor: Cursor, changes: Changes) -> bool:
    """Whether a collection cannot go on from where it stands."""
    return (
        changes.reload
        or changes.cursor.epoch != cursor.epoch
        or any(isinstance(one, DropSession) for one in changes.items)
    )
