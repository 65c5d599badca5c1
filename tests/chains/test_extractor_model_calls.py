"""Structured model calls: observers see each call, however it ends."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from onionskin.chains.errors import ModelError, ModelTimeoutError
from onionskin.chains.extractor import StructuredModel
from onionskin.chains.generation import CallPurpose, Generator, TimedModel
from onionskin.chains.models.factory import ModelOptions, open_model
from onionskin.service.observability.metrics import Metrics
from tests.openai_server import Fault, OpenAIServer

_SCHEMA: dict[str, Any] = {"title": "found", "type": "object", "properties": {}}
_PROMPT = [HumanMessage("Well?")]


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        server.reply = lambda _: "{}"
        yield server


async def test_calls_for_data_are_observed_with_outcomes_and_tokens(server: OpenAIServer) -> None:
    metrics = Metrics()
    async with open_model(ModelOptions("test-model", server.base_url, retries=0)) as model:
        generator = Generator(TimedModel(model, timedelta(seconds=0.3)), metrics)
        structured = StructuredModel(generator, _SCHEMA, CallPurpose("extract"))
        assert (await structured.generate(_PROMPT)).data == {}
        server.faults.append(Fault(status=500))
        with pytest.raises(ModelError):
            await structured.generate(_PROMPT)
        server.faults.append(Fault(hang=True))
        with pytest.raises(ModelTimeoutError):
            await structured.generate(_PROMPT)
    exposition = metrics.exposition().decode()
    for outcome in ("answered", "model_failed", "model_timeout"):
        name = f'onionskin_model_calls_total{{outcome="{outcome}",purpose="extract"}}'
        assert f"{name} 1.0" in exposition
    assert 'onionskin_model_tokens_total{kind="output",purpose="extract"}' in exposition
