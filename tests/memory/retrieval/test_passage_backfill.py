"""Passages with a remote embedder: their vectors are made later, stored with the message, and go
with it; external vector databases have one vector for each passage."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from onionskin.memory.combined import CombinedMemory
from onionskin.memory.profiles import load_profiles
from onionskin.memory.retrieval import IndexCache, StaticEmbedder, embed_missing
from onionskin.memory.store import RedisStore
from onionskin.memory.types.messages import User, Vectors
from onionskin.memory.vector_databases.base import open_vector_database
from onionskin.memory.vector_databases.mirror import VectorDatabaseMirror
from tests.conftest import make_views

_NEEDLE = "The espresso machine has serial number QX-7781."
_QUESTION = "What is the serial number of the espresso machine?"
_TEXT = "The river by the orchard is quiet. " * 120 + _NEEDLE + " The meadow is green. " * 120


class _Remote:
    """The built-in embedder, as if it were remote."""

    local = False

    def __init__(self, embedder: StaticEmbedder) -> None:
        self._embedder, self.tag, self.texts = embedder, embedder.tag, list[str]()

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.texts += texts
        return await self._embedder.embed(texts)


async def test_a_remote_embedders_passages_are_embedded_once_and_stored(
    store: RedisStore, embedder: StaticEmbedder, views: IndexCache, user: User
) -> None:
    remote = _Remote(embedder)
    memory = CombinedMemory(
        "vector", load_profiles()["vector"], store=store, embedder=remote, indexes=views
    )
    recalled = await memory.recall(user, _TEXT, session_id=None, now=1000.0)
    await memory.remember(recalled, "Read.", at=1000.0)
    assert await embed_missing(user, store=store, embedder=remote, indexes=views) == 2
    assert await embed_missing(user, store=store, embedder=remote, indexes=views) == 0
    fresh = make_views(store)
    cached = await fresh.refresh(user)
    assert cached.index.pending == 0
    assert cached.index.unembedded == []
    found = await memory.recall(user, _QUESTION, session_id=None, now=9000.0)
    assert _NEEDLE in found.sections[0].hits[0].entry.message.content


@pytest.mark.parametrize("kind", ["qdrant", "chroma"])
async def test_an_external_database_finds_a_passage(
    kind: str,
    store: RedisStore,
    embedder: StaticEmbedder,
    views: IndexCache,
    user: User,
    tmp_path: Path,
) -> None:
    database = open_vector_database(kind, str(tmp_path / "db"), None)
    mirror = VectorDatabaseMirror(database, store, embedder.encode)
    memory = CombinedMemory(
        "vector",
        load_profiles()["vector"],
        store=store,
        embedder=embedder,
        indexes=views,
        vector_database=mirror,
    )
    recalled = await memory.recall(user, _TEXT, session_id=None, now=1000.0)
    committed = await memory.remember(recalled, "Read.", at=1000.0)
    await mirror.sync(user)
    found = await memory.recall(user, _QUESTION, session_id=None, now=9000.0)
    (hit,) = [hit for hit in found.sections[0].hits if hit.spans]
    assert _NEEDLE in hit.entry.message.content
    await store.sessions.delete(user, committed.session_id)
    await mirror.sync(user)
    vector = (await embedder.embed([_QUESTION]))[0]
    assert await mirror.search(user, vector, top_k=9) == []
    await mirror.close()
