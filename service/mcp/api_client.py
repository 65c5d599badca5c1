"""Client of the API for MCP tools: one user's paths, with the credentials of the tool call."""

from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote

import httpx
from mcp.server.mcpserver.exceptions import ToolError

from onionskin.service.http_client import refused

_FORWARDED = ("authorization", "x-api-key", "x-onionskin-timezone")


class Caller(Protocol):
    """The caller of a tool."""

    @property
    def headers(self) -> Mapping[str, str] | None:
        """Headers of the HTTP request; None over stdio."""
        ...

    @property
    def user(self) -> str:
        """Id of the user."""
        ...


class Api:
    """Calls the API on the paths of one user.

    Args:
        client: HTTP client for the service.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def request(
        self,
        caller: Caller,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        **query: str | int | None,
    ) -> Any:
        """The JSON answer of the API; None if the answer is empty.

        Raises:
            ToolError: The API refuses, with its reason and advice, or it is unavailable.
        """
        headers = caller.headers or {}
        forwarded = {name: headers[name] for name in _FORWARDED if name in headers}
        try:
            response = await self._client.request(
                method,
                f"/v1/users/{quote(caller.user, safe='')}/{path}",
                json=body,
                params={name: value for name, value in query.items() if value is not None},
                headers=forwarded,
            )
        except httpx.HTTPError as error:
            raise ToolError(f"The service cannot be reached ({type(error).__name__}).") from error
        if not response.is_success:
            raise ToolError(str(refused(response)))
        return response.json() if response.content else None


def segment(name: str) -> str:
    """A name as one segment of a path, safe for any text that a model writes."""
    return quote(name, safe="") if name.strip(".") else "%2E"
