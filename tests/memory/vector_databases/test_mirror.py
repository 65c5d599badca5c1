"""Vector databases of others behind the vector layer: Qdrant and Chroma, each in a folder."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore
from pydantic import SecretStr

from onionskin.memory.combined import CombinedMemory
from onionskin.memory.errors import ConfigurationError
from onionskin.memory.profiles import load_profiles
from onionskin.memory.retrieval import IndexCache, StaticEmbedder
from onionskin.memory.store import RedisStore
from onionskin.memory.types.messages import User
from onionskin.memory.vector_databases.base import collection_name, open_vector_database
from onionskin.memory.vector_databases.mirror import VectorDatabaseMirror
from tests.conftest import RedisClient

_BO = User("bo")
_TEXTS = ("My dog is called Biscuit.", "Taxes are due in May.", "The sky is blue today.")


@pytest.fixture(params=["qdrant", "chroma"])
async def outside(
    request: pytest.FixtureRequest, tmp_path: Path, store: RedisStore
) -> AsyncIterator[VectorDatabaseMirror]:
    opened = VectorDatabaseMirror(
        open_vector_database(request.param, str(tmp_path / "db"), None), store
    )
    yield opened
    await opened.close()


def _memory(
    store: RedisStore, embedder: StaticEmbedder, views: IndexCache, outside: VectorDatabaseMirror
) -> CombinedMemory:
    profile = load_profiles()["vector"]
    return CombinedMemory(
        "vector", profile, store=store, embedder=embedder, indexes=views, vector_database=outside
    )


async def _say(memory: CombinedMemory, user: User, *texts: str) -> str:
    session_id = None
    for text in texts:
        recalled = await memory.recall(user, text, session_id=session_id, now=1000.0)
        session_id = (await memory.remember(recalled, "Noted.", at=1000.0)).session_id
    return session_id or ""


async def _recalled(memory: CombinedMemory, user: User, text: str) -> list[str]:
    found = await memory.recall(user, text, session_id=None, now=9000.0)
    return [hit.entry.message.content for hit in found.sections[0].hits]


async def test_messages_are_found_there_and_nobody_elses(
    store: RedisStore,
    embedder: StaticEmbedder,
    views: IndexCache,
    outside: VectorDatabaseMirror,
    user: User,
) -> None:
    memory = _memory(store, embedder, views, outside)
    await _say(memory, user, *_TEXTS)
    await _say(memory, _BO, "My cat is called Ink.")
    assert await _recalled(memory, user, "What is the dog's name?") == []
    for one in (user, _BO):
        await outside.sync(one)
        await outside.sync(one)
    found = await _recalled(memory, user, "What is the dog's name?")
    assert found[0] == _TEXTS[0]
    assert "My cat is called Ink." not in found
    assert set(found) == {*_TEXTS, "Noted."}
    assert (await _recalled(memory, _BO, "What is my cat called?"))[0] == "My cat is called Ink."
    assert views.cached_entries == 0  # no worker holds an index for it


async def test_it_follows_the_transcript_and_shows_nothing_that_is_gone(
    store: RedisStore,
    embedder: StaticEmbedder,
    views: IndexCache,
    outside: VectorDatabaseMirror,
    user: User,
) -> None:
    memory = _memory(store, embedder, views, outside)
    first = await _say(memory, user, _TEXTS[0])
    await outside.sync(user)
    await store.sessions.close(user, first)
    second = await _say(memory, user, _TEXTS[1])
    await outside.sync(user)
    assert set(await _recalled(memory, user, "dog taxes")) >= {_TEXTS[0], _TEXTS[1]}
    await store.sessions.delete(user, first)
    assert _TEXTS[0] not in await _recalled(memory, user, "dog taxes")
    await outside.sync(user)
    vector = (await embedder.embed(["dog"]))[0]
    ids = await outside.search(user, vector, top_k=9)
    assert {one.partition(":")[0] for one in ids} == {second}


async def test_a_lost_database_is_filled_again(
    store: RedisStore,
    embedder: StaticEmbedder,
    views: IndexCache,
    outside: VectorDatabaseMirror,
    user: User,
    redis: RedisClient,
) -> None:
    await _say(_memory(store, embedder, views, outside), user, *_TEXTS)
    await outside.sync(user)
    name = collection_name(user, embedder.tag)
    before = await store.vector_database_cursors.get(user, name)
    await outside.drop(user)
    vector = (await embedder.embed([_TEXTS[0]]))[0]
    assert await outside.search(user, vector, top_k=9) == []
    await redis.xtrim("onionskin:{default/alice}:log", maxlen=1)  # the log does not reach back
    await outside.sync(user)
    assert len(await outside.search(user, vector, top_k=9)) == 6
    assert (await store.vector_database_cursors.get(user, name)).sequence == before.sequence


async def test_erasure_reaches_it_and_a_late_job_brings_nothing_back(
    store: RedisStore,
    embedder: StaticEmbedder,
    views: IndexCache,
    outside: VectorDatabaseMirror,
    user: User,
) -> None:
    memory = _memory(store, embedder, views, outside)
    await _say(memory, user, *_TEXTS)
    await outside.sync(user)
    assert await store.vector_database_cursors.collections(user) == [
        collection_name(user, embedder.tag)
    ]
    await outside.drop(user)
    await store.deletion.erase_user(user)
    await outside.sync(user)
    assert await store.vector_database_cursors.collections(user) == []
    await _say(memory, user, "I begin anew.")
    await outside.sync(user)
    vector = (await embedder.embed(["dog"]))[0]
    assert len(await outside.search(user, vector, top_k=9)) == 2


async def test_what_lies_there_contains_no_words(
    tmp_path: Path, store: RedisStore, embedder: StaticEmbedder, views: IndexCache, user: User
) -> None:
    for kind in ("qdrant", "chroma"):
        folder = tmp_path / kind
        outside = VectorDatabaseMirror(open_vector_database(kind, str(folder), None), store)
        await _say(_memory(store, embedder, views, outside), user, *_TEXTS)
        await outside.sync(user)
        await outside.close()
        stored = b"".join(map(_read, folder.rglob("*")))
        assert len(stored) > 1000
        assert b"Biscuit" not in stored
        assert b"alice" not in stored


_OF_HNSWLIB = "data_level0.bin"
"""Chroma's library writes room for a hundred vectors as it was allocated, with what the process's
memory held there before: docs/langchain.md warns of it, and no search for words is to meet it."""


def _read(file: Path) -> bytes:
    if file.name == _OF_HNSWLIB:
        return b""
    try:
        return file.read_bytes()
    except (FileNotFoundError, IsADirectoryError):  # a database's journal comes and goes
        return b""


class _Broken:
    """A database that is away."""

    batch_limit = 1

    def __init__(self, url: str, key: SecretStr | None) -> None:
        self.url, self.key = url, key

    def open(self, name: str, embeddings: Embeddings, dimensions: int) -> VectorStore:
        raise ConnectionError(self.url)

    def drop(self, name: str) -> None:
        return None

    def close(self) -> None:
        return None


class Kept(_Broken):
    """One of a program's own: LangChain's in-memory store."""

    def __init__(self, url: str, key: SecretStr | None) -> None:
        super().__init__(url, key)
        self.held: dict[str, InMemoryVectorStore] = {}

    def open(self, name: str, embeddings: Embeddings, dimensions: int) -> VectorStore:
        known = self.held.setdefault(name, InMemoryVectorStore(embeddings))
        known.embedding = embeddings
        return known


async def test_a_database_that_is_away_costs_recall_and_not_the_turn(
    store: RedisStore, embedder: StaticEmbedder, views: IndexCache, user: User
) -> None:
    own = VectorDatabaseMirror(
        open_vector_database(f"{__name__}.Kept", "here", SecretStr("k")), store
    )
    memory = _memory(store, embedder, views, own)
    await _say(memory, user, *_TEXTS)
    await own.sync(user)
    assert (await _recalled(memory, user, "the dog"))[0] == _TEXTS[0]
    away = _memory(store, embedder, views, VectorDatabaseMirror(_Broken("gone", None), store))
    recalled = await away.recall(user, "the dog", session_id=None, now=9000.0)
    assert recalled.degraded == ("vector_store",)
    assert recalled.sections[0].hits == ()
    due: Any = away.plan_tasks(recalled, "Yes.")
    assert [type(one).__name__ for one in due] == ["EmbedTask"]


async def test_a_profile_can_keep_to_the_index_of_the_worker(
    tmp_path: Path, store: RedisStore, embedder: StaticEmbedder, views: IndexCache, user: User
) -> None:
    file = tmp_path / "profiles.toml"
    file.write_text('[profiles.own]\nlayers = ["vector"]\nvector = { database = false }\n')
    profile, away = load_profiles(file)["own"], VectorDatabaseMirror(_Broken("gone", None), store)
    memory = CombinedMemory(
        "own", profile, store=store, embedder=embedder, indexes=views, vector_database=away
    )
    await _say(memory, user, *_TEXTS)
    assert (await _recalled(memory, user, "What is the dog's name?"))[0] == _TEXTS[0]


def test_names_say_nothing_and_never_meet() -> None:
    owners = [User("a", "b"), User("a/b", ""), User("", "a/b"), User("b", "a"), User("a", "b/")]
    names = {collection_name(one, tag) for one in owners for tag in ("x", "y")}
    assert len(names) == 10
    assert all(one.startswith("onionskin-") and len(one) == 50 for one in names)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("nothing", "is unknown"),
        ("no.such.thing", "cannot be used"),
        ("sys.path", "cannot be used"),
    ],
)
def test_an_unknown_vector_database_is_refused_at_the_start(kind: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        open_vector_database(kind, "", None)
