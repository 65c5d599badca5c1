"""Fixtures of every test: a real Redis, the built-in embedder, and cleanup."""

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import redis.asyncio as aioredis
from hypothesis import settings

from onionskin.chains.models.offline import OfflineChatModel
from onionskin.memory.combined import CombinedMemory
from onionskin.memory.profiles import load_profiles
from onionskin.memory.retrieval import (
    IndexCache,
    StaticEmbedder,
    TextPipeline,
    UserIndex,
)
from onionskin.memory.store import Connection, Continuity, RedisStore
from onionskin.memory.store.redis.embedded import EmbeddedRedis
from onionskin.memory.types.messages import User
from tests.support.reaper import MARK, reaping

RedisClient: TypeAlias = Any
"""A plain client of redis-py, whose own types are partial."""

# A shell starts what runs in its background with SIGINT ignored, and so would be what tests start
# and press Ctrl-C on.
signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ[MARK] = secrets.token_hex(8)

# On a busy machine an example takes as long as it takes; no test judges by the clock.
settings.register_profile("onionskin", settings(), deadline=None)
settings.load_profile("onionskin")


class Clock:
    """A clock that tests set."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, span: timedelta) -> None:
        self.now += span.total_seconds()


@pytest.fixture(scope="session", autouse=True)
def no_process_outlives_the_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Stop the processes of this run even if it is killed."""
    with reaping(os.environ[MARK], tmp_path_factory.getbasetemp()):
        yield


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One embedded Redis for the whole run, on a loop of its own."""
    with asyncio.Runner() as runner:
        server = EmbeddedRedis(tmp_path_factory.mktemp("redis"))
        runner.run(server.__aenter__())
        yield server.url
        runner.run(server.__aexit__())


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[RedisClient]:
    """A plain client on an empty Redis."""
    client = plain_client(redis_url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
async def connection(redis: RedisClient, redis_url: str) -> AsyncIterator[Connection]:
    """Onionskin's connection, to the same empty Redis."""
    assert redis
    opened = Connection(redis_url, timeout=timedelta(seconds=15))  # on machines that are busy
    yield opened
    await opened.aclose()


@pytest.fixture(scope="session")
def embedder() -> StaticEmbedder:
    return StaticEmbedder()


@pytest.fixture
def store(connection: Connection, embedder: StaticEmbedder) -> RedisStore:
    return RedisStore(connection, embedder_tag=embedder.tag, continuity=Continuity())


@pytest.fixture
def views(store: RedisStore) -> IndexCache:
    return make_views(store)


@pytest.fixture
def memory_of(
    store: RedisStore, embedder: StaticEmbedder, views: IndexCache
) -> Callable[[str], CombinedMemory]:
    """The CombinedMemory of a built-in profile."""
    profiles = load_profiles()

    def build(name: str) -> CombinedMemory:
        return CombinedMemory(
            name,
            profiles[name],
            store=store,
            embedder=embedder,
            indexes=views,
            model=OfflineChatModel(),
        )

    return build


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def user() -> User:
    return User("alice")


@pytest.fixture(autouse=True)
async def no_task_outlives_its_test() -> AsyncIterator[None]:
    """Fail a test that leaves a task running."""
    before = asyncio.all_tasks()
    yield
    left = [task for task in asyncio.all_tasks() - before if not task.done()]
    current = asyncio.current_task()
    assert not [task for task in left if task is not current]


def plain_client(url: str) -> RedisClient:
    """A client of redis-py, without Onionskin's connection."""
    return aioredis.from_url(url)  # pyright: ignore[reportUnknownMemberType]


def make_views(store: RedisStore, *, max_bytes: int = 1_000_000_000) -> IndexCache:
    """A worker's views, as a process of its own would have them."""
    text_pipeline = TextPipeline.for_language()
    return IndexCache(store, lambda: UserIndex(text_pipeline), max_bytes=max_bytes)


async def eventually(check: Callable[[], object], *, within: float = 60.0) -> None:
    """Poll until `check()` holds."""
    async with asyncio.timeout(within):
        while not check():  # noqa: ASYNC110 - what is waited for is another process's
            await asyncio.sleep(0.01)


def repository() -> Path:
    """The root of the repository."""
    return Path(__file__).parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first: with a file per process, none is left to run alone at the end."""
    items.sort(key=lambda item: -_seconds(item.path))


def _seconds(path: Path) -> int:
    name = _FILE_SECONDS.get(path.name, 0)
    return _FILE_SECONDS.get(f"{path.parent.name}/{path.name}", name)


_FILE_SECONDS = {
    "test_bench_scaling.py": 90,
    "test_bench_turn.py": 60,
    "test_tracing.py": 60,
    "cli/test_exit_codes.py": 50,
    "test_playground.py": 50,
    "cli/test_main.py": 50,
    "test_terminal_docs.py": 45,
    "test_readme.py": 45,
    "cli/test_encryption.py": 45,
    "test_shutdown.py": 45,
    "test_langchain_docs.py": 40,
    "test_reaper.py": 40,
    "test_journeys.py": 40,
    "users/test_routes.py": 30,
    "test_api_keys.py": 30,
    "test_doctor.py": 30,
    "test_durability.py": 30,
    "test_tracing_off.py": 30,
    "memories/test_routes.py": 25,
    "test_agent_middleware.py": 25,
    "test_migrations.py": 25,
    "test_multiprocess.py": 25,
    "test_prompt_injection.py": 20,
    "test_fuzz.py": 20,
    "test_isolation.py": 20,
    "test_packaging.py": 20,
}
"""Roughly how long the longest files take, in seconds on a quiet machine.

The key is a file name, or a folder and a file name.
"""
