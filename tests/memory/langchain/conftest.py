"""What tests of LangChain's classes share: Strata opened on the tests' Redis, in both ways."""

import asyncio
from collections.abc import Iterator

import pytest

from memory.combined import CombinedMemory
from memory.langchain.opening import Strata, strata_in_thread
from memory.langchain.portal import Portal
from memory.profiles import load_profiles
from memory.recall.embedder import StaticEmbedder
from memory.recall.views import Views
from memory.store import RedisStore
from tests.conftest import RedisClient


@pytest.fixture
async def strata(store: RedisStore, views: Views, embedder: StaticEmbedder) -> Strata:
    """On the loop of the test."""
    memories = {
        name: CombinedMemory(name, profile, store=store, embedder=embedder, views=views)
        for name, profile in load_profiles().items()
        if not profile.needs_model
    }
    return Strata(store, views, embedder, memories, Portal(asyncio.get_running_loop()))


@pytest.fixture
def waiting(redis: RedisClient, redis_url: str) -> Iterator[Strata]:
    """On a loop in a thread, as a program without one has it."""
    assert redis
    with strata_in_thread(redis_url) as opened:
        yield opened
