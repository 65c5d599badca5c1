"""MCP, with the official client: over HTTP as the service serves it, and over stdio."""

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from onionskin.memory.store import Connection
from onionskin.memory.store.api_keys import ApiKeyRegistry
from onionskin.memory.store.redis.embedded import EmbeddedRedis
from tests.service.conftest import Backend
from tests.services import environment, running_service

_TOOLS = {
    *("search_memory", "list_memories", "add_memory", "update_memory", "forget_memory"),
    *("get_context", "list_sessions", "read_session"),
}


@asynccontextmanager
async def _over_http(url: str, **headers: str) -> AsyncGenerator[Client]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        httpx2.AsyncClient(headers=named, timeout=30) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http)) as client,
    ):
        yield client


@asynccontextmanager
async def _over_stdio(url: str, user: str) -> AsyncGenerator[Client]:
    arguments = ["-P", "-m", "onionskin.service", "mcp", "--user", user, "--url", url]
    server = StdioServerParameters(
        command=sys.executable, args=arguments, env=environment(PATH=os.environ["PATH"])
    )
    async with Client(server) as client:
        yield client


async def _call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content or {}


async def _refused(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return str(result.content)


async def _text(client: Client, uri: str) -> str:
    return "".join(
        str(getattr(one, "text", "")) for one in (await client.read_resource(uri)).contents
    )


@pytest.mark.parametrize("way", ["http", "stdio"])
async def test_the_tools_and_resources_do_what_they_say(backend: Backend, way: str) -> None:
    user, url = f"mcp {way}/".replace("/", ""), backend.service.url
    said = backend.say(user, "My dog is called Biscuit.").json()
    tone = {"content": "Answer in one sentence."}
    backend.client.put(f"/v1/users/{user}/preferences/tone", json=tone).raise_for_status()
    opened = _over_http(url, X_Onionskin_User=user) if way == "http" else _over_stdio(url, user)
    async with opened as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == _TOOLS
        assert all(tool.description and tool.annotations for tool in tools.values())
        added = await _call(client, "add_memory", content="Is allergic to nuts.", topic="allergy")
        found = await _call(client, "search_memory", query="What may she not eat?")
        assert found["memories"][0]["memory_id"] == added["memory_id"]
        changed = await _call(
            client, "update_memory", memory_id=added["memory_id"], content="Is allergic to milk."
        )
        assert changed["memory_id"] == added["memory_id"]
        context = await _call(client, "get_context", message="What is my dog called?")
        assert "Biscuit" in context["context"]
        sessions = await _call(client, "list_sessions")
        assert [one["session_id"] for one in sessions["sessions"]] == [said["session_id"]]
        read = await _call(client, "read_session", session_id=said["session_id"])
        assert read["messages"][0]["content"] == "My dog is called Biscuit."
        assert await _text(client, "onionskin://preferences") == "tone: Answer in one sentence."
        assert "Biscuit" not in await _text(client, "onionskin://summaries")
        await _call(client, "forget_memory", memory_id=added["memory_id"])
        again = await _call(client, "search_memory", query="What may she not eat?")
        assert added["memory_id"] not in [one["memory_id"] for one in again["memories"]]


@pytest.mark.parametrize("way", ["http", "stdio"])
async def test_memories_are_listed_page_by_page(backend: Backend, way: str) -> None:
    user, url = f"mcp-list-{way}", backend.service.url
    opened = _over_http(url, X_Onionskin_User=user) if way == "http" else _over_stdio(url, user)
    async with opened as client:
        added = [
            (await _call(client, "add_memory", content=f"Number {number}."))["memory_id"]
            for number in range(5)
        ]
        await _call(client, "add_memory", content="Answer briefly.", kind="preference")
        seen: list[str] = []
        cursor = None
        while True:
            page = await _call(client, "list_memories", kind="fact", limit=2, cursor=cursor)
            seen += [one["memory_id"] for one in page["memories"]]
            if (cursor := page["next_cursor"]) is None:
                break
        assert seen == added[::-1]
        assert await _text(client, "onionskin://preferences") == "Answer briefly."
        assert "not a cursor" in await _refused(client, "list_memories", cursor="x")


async def test_outdated_memories_are_history_over_mcp_too(backend: Backend) -> None:
    user = "mcp-outdated"
    url = f"/v1/users/{user}/memories"
    old = backend.client.post(url, json={"content": "Lives in Oslo."}).json()
    backend.client.post(url, json={"content": "Lives in Rome."}).raise_for_status()
    end = {"valid_from": "2020-01-01T00:00:00Z", "valid_to": "2024-01-01T00:00:00Z"}
    backend.client.patch(f"{url}/{old['id']}", json=end).raise_for_status()
    async with _over_http(backend.service.url, X_Onionskin_User=user) as client:
        found = await _call(client, "search_memory", query="Lives in Oslo.")
        assert [one["content"] for one in found["memories"]] == ["Lives in Rome."]
        listed = await _call(client, "list_memories")
        assert [one["status"] for one in listed["memories"]] == ["current"]
        history = await _call(client, "list_memories", include_superseded=True)
        outdated = next(one for one in history["memories"] if one["memory_id"] == old["id"])
        assert (outdated["status"], outdated["valid_from"], outdated["valid_to"]) == (
            "ended",
            end["valid_from"],
            end["valid_to"],
        )
        assert outdated["created"] == old["created"]
        both = await _call(client, "search_memory", query="Lives in Oslo.", include_superseded=True)
        assert [one["content"] for one in both["memories"]] == ["Lives in Rome.", "Lives in Oslo."]


async def test_the_model_sees_a_refusal(backend: Backend) -> None:
    async with _over_http(backend.service.url, X_Onionskin_User="refused") as client:
        assert (
            "no memory"
            in (await _refused(client, "forget_memory", memory_id="m_0000000000000000")).lower()
        )
        assert "empty" in await _refused(client, "get_context", message=" ")
        for name in ("..", "../../bob/sessions", "s/../x", "%2e%2e"):
            refusal = await _refused(client, "read_session", session_id=name)
            assert "session" in refusal.lower() or "not found" in refusal.lower()


async def test_no_user_reaches_anothers_memory(backend: Backend) -> None:
    session = backend.say("mcp-owner", "Mine alone.").json()["session_id"]
    async with _over_http(backend.service.url, X_Onionskin_User="mcp-thief") as client:
        assert "Mine" not in await _refused(client, "read_session", session_id=session)
        assert (await _call(client, "list_sessions"))["sessions"] == []
        assert (await _call(client, "get_context", message="Mine?"))["context"] == ""


def test_whose_memory_must_be_said(backend: Backend) -> None:
    response = backend.client.post("/mcp", json={})
    assert response.status_code == 422
    assert "X-Onionskin-User" in response.json()["detail"]
    response = backend.client.post("/mcp?user=ann", json={})
    assert response.status_code == 400  # MCP's own word on a body that is no request


async def test_it_asks_for_the_same_credentials(
    private_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    connection = Connection(private_redis.url)
    _, own = await ApiKeyRegistry(connection).create(tenant="t", user_id="ann", name="", now=0.0)
    _, whole = await ApiKeyRegistry(connection).create(tenant="t", user_id=None, name="", now=0.0)
    await connection.aclose()
    settings = {"ONIONSKIN_AUTH": "keys", "ONIONSKIN_REDIS_URL": private_redis.url}
    with running_service(tmp_path, **settings, ONIONSKIN_MODEL="offline") as service:
        async with httpx.AsyncClient(base_url=service.url) as plain:
            assert (await plain.post("/mcp?user=ann", json={})).status_code == 401
        async with _over_http(service.url, Authorization=f"Bearer {own}") as client:
            await _call(client, "add_memory", content="Ann's own.")
        async with _over_http(
            service.url, Authorization=f"Bearer {whole}", X_Onionskin_User="ann"
        ) as client:
            found = await _call(client, "search_memory", query="own")
            assert [one["content"] for one in found["memories"]] == ["Ann's own."]
        async with _over_http(
            service.url, Authorization=f"Bearer {own}", X_Onionskin_User="bob"
        ) as client:
            assert "no access to a user 'bob'" in await _refused(
                client, "search_memory", query="own"
            )
