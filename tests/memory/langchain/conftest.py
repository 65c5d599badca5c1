"""What tests of LangChain's classes share: Onionskin opened on the tests' Redis, in both ways."""

import asyncio
from collections.abc import Iterator

import pytest

from onionskin.memory.combined import CombinedMemory
from onionskin.memory.langchain.client import Onionskin, onionskin_in_thread
from onionskin.memory.langchain.event_loop_thread import EventLoopThread
from onionskin.memory.profiles import load_profiles
from onionskin.memory.retrieval import IndexCache, StaticEmbedder
from onionskin.memory.store import RedisStore
from tests.conftest import RedisClient


@pytest.fixture
async def onionskin(store: RedisStore, views: IndexCache, embedder: StaticEmbedder) -> Onionskin:
    """On the loop of the test."""
    memories = {
        name: CombinedMemory(name, profile, store=store, embedder=embedder, indexes=views)
        for name, profile in load_profiles().items()
        if not profile.needs_model
    }
    return Onionskin(store, views, embedder, memories, EventLoopThread(asyncio.get_running_loop()))


@pytest.fixture
def waiting(redis: RedisClient, redis_url: str) -> Iterator[Onionskin]:
    """On a loop in a thread, as a program without one has it."""
    assert redis
    with onionskin_in_thread(redis_url) as opened:
        yield opened
