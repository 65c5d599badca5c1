"""Onionskin inside another FastAPI application, which keeps its own errors, routes and state."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Query, Request

from onionskin.chains.turn import TurnRequest
from onionskin.memory.types.messages import User
from onionskin.service.integration import Integration
from onionskin.service.settings import load_settings
from tests.conftest import eventually


class DefectError(Exception):
    """Nobody expects it."""


def _host(tmp_path: Path, **settings: Any) -> FastAPI:
    """An application with a lifespan, errors and routes of its own."""
    is_protected = settings.pop("is_protected", False)
    memory = Integration(
        load_settings(data_dir=tmp_path, model="offline", **settings), is_protected=is_protected
    )

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[dict[str, Any]]:
        async with memory.lifespan(app) as state:
            yield state | {"own": "ours"}

    app = FastAPI(title="Host", lifespan=lifespan)
    app.include_router(memory.router, prefix="/memory")

    @app.get("/own")
    async def own(request: Request) -> str:
        return request.state.own

    @app.get("/healthz")
    async def healthz(count: Annotated[int, Query(ge=1)]) -> int:
        return count

    @app.get("/missing")
    async def missing() -> None:
        raise HTTPException(404, {"own": "detail"})

    @app.get("/recalled")
    async def recalled(request: Request) -> str:
        turn = TurnRequest(User("ann"), "What is my dog called?")
        return (await request.state.onionskin.context_builder.recall(turn)).text

    return app


@contextlib.asynccontextmanager
async def _served(app: FastAPI) -> AsyncGenerator[httpx.AsyncClient]:
    config = uvicorn.Config(app, port=0, log_config=None, log_level="critical")
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # pyright: ignore[reportAttributeAccessIssue]
    serving = asyncio.create_task(server.serve())
    await eventually(lambda: server.started or serving.done())
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        yield client
    server.should_exit = True
    await serving


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with _served(_host(tmp_path, largest_body=2048)) as served:
        yield served


async def test_the_api_works_under_a_prefix_beside_the_applications_own_routes(
    client: httpx.AsyncClient,
) -> None:
    body = {"user_id": "ann", "message": "My dog is called Biscuit."}
    answer = await client.post("/memory/v1/chat", json=body, headers={"Idempotency-Key": "a"})
    assert answer.is_success, answer.text
    assert answer.headers["x-request-id"]
    again = await client.post("/memory/v1/chat", json=body, headers={"Idempotency-Key": "a"})
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == answer.json()
    assert (await client.get("/memory/v1/about")).json()["model"]["offline"]
    assert (await client.get("/own")).json() == "ours"
    assert "Biscuit" in (await client.get("/recalled")).json()
    streamed = await client.post("/memory/v1/chat", json=body | {"stream": True})
    assert "event: done" in streamed.text


async def test_errors_stay_in_the_format_of_the_route_they_belong_to(
    client: httpx.AsyncClient,
) -> None:
    unknown = await client.get("/memory/v1/users/ann/sessions/s_0123456789abcdef")
    assert unknown.headers["content-type"] == "application/problem+json"
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_session")
    invalid = await client.post("/memory/v1/chat", json={"message": "Hi."})
    assert (invalid.status_code, invalid.json()["code"]) == (422, "invalid_input")
    openai = await client.post("/memory/v1/chat/completions", json={"model": "none"})
    assert (openai.status_code, set(openai.json())) == (400, {"error"})
    large = await client.post("/memory/v1/chat", json={"user_id": "a", "message": "x" * 4096})
    assert large.status_code == 413
    mine = await client.get("/healthz", params={"count": 0})
    assert (mine.status_code, list(mine.json())) == (422, ["detail"])
    assert "x-request-id" not in mine.headers
    assert (await client.get("/missing")).json() == {"detail": {"own": "detail"}}
    assert (await client.get("/nothing")).json() == {"detail": "Not Found"}


async def test_the_applications_description_has_the_api_and_resolves(
    client: httpx.AsyncClient,
) -> None:
    schema = (await client.get("/openapi.json")).json()
    assert {"/own", "/memory/v1/chat", "/memory/v1/users/{user_id}/memories"} <= set(
        schema["paths"]
    )
    names = set(schema["components"]["schemas"])
    referred = {text.split('"')[0] for text in str(schema).replace("'", '"').split("schemas/")[1:]}
    assert "Problem" in referred
    assert referred <= names


async def test_tools_reach_the_memory_over_mcp_under_the_prefix(client: httpx.AsyncClient) -> None:
    body = {"user_id": "ann", "message": "My dog is called Biscuit."}
    (await client.post("/memory/v1/chat", json=body)).raise_for_status()
    call: dict[str, Any] = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/list",
        "params": {},
    }
    headers = {"Accept": "application/json, text/event-stream", "X-Onionskin-User": "ann"}
    listed = await client.post("/memory/mcp", json=call, headers=headers)
    assert listed.is_success, listed.text
    assert listed.json()["result"]["tools"]
    nobody = await client.post("/memory/mcp", json=call)
    assert (nobody.status_code, nobody.json()["code"]) == (422, "invalid_input")


async def test_without_authentication_only_this_machine_is_served(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    foreign = {"Host": "api.example.com"}
    for path in ("/memory/v1/about", "/memory/mcp"):
        assert (await client.post(path, headers=foreign, json={})).status_code in {403, 405}, path
    assert (await client.get("/memory/v1/about", headers=foreign)).status_code == 403
    assert (await client.get("/own", headers=foreign)).is_success
    async with _served(_host(tmp_path / "2", is_protected=True)) as protected:
        assert (await protected.get("/memory/v1/about", headers=foreign)).is_success


async def test_the_application_may_authenticate_the_requests_itself(tmp_path: Path) -> None:
    def authenticate(request: Request) -> None:
        if request.headers.get("x-secret") != "open":
            raise HTTPException(401, "No entrance.")

    memory = Integration(load_settings(data_dir=tmp_path, model="offline"), is_protected=True)
    app = FastAPI(lifespan=memory.lifespan)
    app.include_router(memory.router, dependencies=[Depends(authenticate)])
    async with _served(app) as client:
        assert (await client.get("/v1/about")).status_code == 401
        assert (await client.get("/v1/about", headers={"x-secret": "open"})).is_success
