"""Request ids, logs and metrics of every request, also of failed ones."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi.responses import StreamingResponse

from onionskin.service.app import create_app
from onionskin.service.settings import load_settings
from tests.conftest import eventually

_ID = {"X-Request-Id": "mine-3"}


class DefectError(Exception):
    """Nobody expects it."""


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A server whose application has defects."""
    app = create_app(load_settings(data_dir=tmp_path, model="offline", cors_origins="http://there"))

    async def pieces() -> AsyncIterator[bytes]:
        yield b"half"
        raise DefectError("canary")

    @app.get("/defect")
    async def defect() -> None:
        raise DefectError("canary")

    @app.get("/v1/models/of/defect")
    async def other() -> None:
        raise DefectError("canary")

    @app.get("/breaks")
    async def breaks() -> StreamingResponse:
        return StreamingResponse(pieces())

    config = uvicorn.Config(app, port=0, log_config=None, log_level="critical")
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # pyright: ignore[reportAttributeAccessIssue]
    serving = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as found:
        yield found
    server.should_exit = True
    await serving


async def test_a_defect_is_a_problem_with_the_requests_id(client: httpx.AsyncClient) -> None:
    answer = await client.get("/defect", headers=_ID)
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "mine-3")
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["code"], answer.json()["status"]) == ("internal", 500)
    assert "canary" not in answer.text
    again = await client.get("/defect")  # the connection is kept
    assert len(again.headers.get_list("x-request-id")) == 1
    assert 'route="/defect",status="500"' in (await client.get("/metrics")).text
    openai = await client.get("/v1/models/of/defect", headers=_ID)
    assert (openai.status_code, openai.headers["x-request-id"]) == (500, "mine-3")
    assert openai.json()["error"]["code"] == "internal"


async def test_an_answer_that_breaks_off_is_not_taken_for_whole(client: httpx.AsyncClient) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get("/breaks", headers=_ID)


async def test_refusals_outside_of_the_routes_bear_an_id_too(client: httpx.AsyncClient) -> None:
    large = await client.post("/v1/chat", content=b"x" * (1 << 21), headers=_ID)
    assert (large.status_code, large.headers["x-request-id"]) == (413, "mine-3")
    asking = {"Origin": "http://there", "Access-Control-Request-Method": "POST"}
    before = await client.options("/v1/chat", headers=_ID | asking)
    assert (before.status_code, before.headers["x-request-id"]) == (200, "mine-3")
    unknown = await client.get("/nowhere", headers=_ID)
    assert (unknown.status_code, unknown.headers["x-request-id"]) == (404, "mine-3")
