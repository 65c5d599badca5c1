"""`onionskin mcp`: MCP over standard input and output, for a running service."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from mcp.server.mcpserver import Context

from onionskin.service.http_client import credentials
from onionskin.service.mcp.api_client import Api
from onionskin.service.mcp.server import make_server

_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class StdioCaller:
    """The only user of this process."""

    user: str
    headers: Mapping[str, str] | None = None


def run_stdio(url: str, user: str, *, version: str) -> None:
    """Serve a client, such as a desktop assistant, until it closes standard input."""
    asyncio.run(_serve(url, user, version))


async def _serve(url: str, user: str, version: str) -> None:
    def caller_of(_: Context[Any, Any]) -> StdioCaller:
        return StdioCaller(user)

    async with httpx.AsyncClient(
        base_url=url, timeout=_TIMEOUT_SECONDS, headers=credentials()
    ) as client:
        await make_server(Api(client), caller_of, version=version).run_stdio_async()
