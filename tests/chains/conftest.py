"""Fixtures of the chain tests."""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from onionskin.chains.conversation import ConversationChain
from onionskin.chains.extractor import Extractor
from onionskin.chains.generation import Generator, TimedModel
from onionskin.chains.models.factory import ModelOptions, open_model
from onionskin.memory.combined import CombinedMemory
from onionskin.memory.langchain.client import Onionskin, onionskin_in_thread, open_onionskin
from onionskin.memory.records.consolidation import RecordConsolidator
from onionskin.memory.records.service import RecordService
from onionskin.memory.retrieval import IndexCache, StaticEmbedder
from onionskin.memory.store import RedisStore
from onionskin.memory.types.messages import User
from tests.chains.scripted_agent import ScriptedModel
from tests.chains.scripted_extractor import Notebook, not_counted
from tests.conftest import Clock, RedisClient
from tests.openai_server import OpenAIServer

_NOT_OFFERED = (
    *("tool", "structured", "json_mode", "_inputs", "agent_loop", "model_override"),
    *("stream_time", "init_time", "init_from_env", "serdes"),
)
"""Names of tests in LangChain's standard suites: features the offline model lacks, and timings."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests of the standard suites that would be skipped."""
    deselected = [item for item in items if _is_not_offered(item)]
    config.hook.pytest_deselected(items=deselected)
    items[:] = [item for item in items if item not in deselected]


def _is_not_offered(item: pytest.Item) -> bool:
    return item.path.name == "test_offline_standard.py" and any(
        one in item.name for one in _NOT_OFFERED
    )


@pytest.fixture
async def notebook(
    store: RedisStore,
    views: IndexCache,
    embedder: StaticEmbedder,
    memory_of: Callable[[str], CombinedMemory],
    clock: Clock,
    user: User,
) -> AsyncIterator[Notebook]:
    async with (
        OpenAIServer() as server,
        open_model(ModelOptions("test-model", server.base_url, retries=0)) as model,
    ):
        memories = RecordService(store, views, embedder, clock=clock)
        outcomes: list[str] = []

        extractor = Extractor(
            store,
            RecordConsolidator(store, memories, embedder, embed_seconds=2.0, limit=20),
            Generator(TimedModel(model, timedelta(seconds=5))),
            on_batch=outcomes.append,
            on_usage=not_counted,
        )
        chain = ConversationChain({"window": memory_of("window")}, model, default_profile="window")
        yield Notebook(server, chain, extractor, memories, user, outcomes)


@pytest.fixture
async def onionskin(redis: RedisClient, redis_url: str) -> Any:
    assert redis
    async with open_onionskin(redis_url) as opened:
        yield opened


@pytest.fixture
def sync_onionskin(redis: RedisClient, redis_url: str) -> Iterator[Onionskin]:
    assert redis
    with onionskin_in_thread(redis_url) as opened:
        yield opened


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()
