"""Agents: the user's stored zone in the prompt, and the offset in what is stored; own layers."""

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from onionskin.chains.agent_middleware import LayeredMemoryMiddleware
from onionskin.memory.langchain.client import Onionskin, open_onionskin
from onionskin.memory.types.messages import User
from tests.chains.agent import create_agent, weather
from tests.conftest import RedisClient
from tests.openai_server import OpenAIServer

_LAYER = """
from onionskin.memory.layers import Section


class Loud:
    name = "loud"

    async def load(self, turn):
        said = await turn.transcript.read()
        return Section(self.name, text=" ".join(one.message.content.upper() for one in said))
"""


@pytest.fixture
async def onionskin(redis: RedisClient, redis_url: str) -> Any:
    assert redis
    async with open_onionskin(redis_url) as opened:
        yield opened


def _agent(onionskin: Onionskin, server: OpenAIServer, **options: Any) -> Any:
    model = ChatOpenAI(model="m", base_url=server.base_url, api_key=SecretStr("none"))
    middleware = LayeredMemoryMiddleware(onionskin, **options)
    return create_agent(model, [weather], middleware=[middleware])


async def _say(agent: Any, text: str) -> None:
    config = {"configurable": {"user_id": "alice", "thread_id": "one"}}
    await agent.ainvoke({"messages": [HumanMessage(text)]}, config)


async def test_an_agent_stores_and_shows_the_users_clock(onionskin: Onionskin) -> None:
    user = User("alice")
    await onionskin.store.users.set_time_zone(user, "Asia/Kathmandu")
    async with OpenAIServer() as server:
        agent = _agent(onionskin, server)
        await _say(agent, "My boat is blue.")
        await _say(agent, "Which colour has my boat?")
        prompt = "\n".join(text for _, text in server.requests[-1].messages)
    (session_id,) = await onionskin.store.sessions.ids(user)
    stored = await onionskin.store.transcripts.read(user, session_id, start=0, count=9)
    assert {entry.message.utc_offset for entry in stored} == {20_700}
    assert "+05:45" in prompt
    assert "My boat is blue." in prompt


async def test_an_agent_has_layers_of_ones_own(
    redis: RedisClient, redis_url: str, tmp_path: Path
) -> None:
    assert redis
    (tmp_path / "loud_layer.py").write_text(_LAYER)
    (tmp_path / "mine.toml").write_text('[profiles.loud]\nlayers = ["loud_layer.Loud"]\n')
    async with (
        open_onionskin(redis_url, profiles=tmp_path / "mine.toml") as onionskin,
        OpenAIServer() as server,
    ):
        agent = _agent(onionskin, server, profile="loud")
        await _say(agent, "My boat is blue.")
        await _say(agent, "Which colour has my boat?")
        prompt = "\n".join(text for _, text in server.requests[-1].messages)
    assert "MY BOAT IS BLUE." in prompt
