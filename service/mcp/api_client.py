"""How a tool reaches the API: one user's part of it, with the credentials of the call."""

from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote

import httpx
from mcp.server.mcpserver.exceptions import ToolError

from onionskin.service.http_client import refused

_CREDENTIALS = ("authorization", "x-api-key")


class Caller(Protocol):
    """What is known of a call of a tool."""

    @property
    def headers(self) -> Mapping[str, str] | None:
        """Of the HTTP request that it came with; None over stdio."""
        ...

    @property
    def user(self) -> str:
        """Whose memory it is about."""
        ...


class Api:
    """The API as tools see it: paths below one user.

    Args:
        client: of the service, here or elsewhere.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def ask(
        self,
        caller: Caller,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        **query: str | int | None,
    ) -> Any:
        """What the API answers, as JSON; None where it answers nothing.

        Raises:
            ToolError: it refuses, and the message says why and what to do; or it is away.
        """
        came = caller.headers or {}
        credentials = {name: came[name] for name in _CREDENTIALS if name in came}
        try:
            response = await self._client.request(
                method,
                f"/v1/users/{quote(caller.user, safe='')}/{path}",
                json=body,
                params={name: value for name, value in query.items() if value is not None},
                headers=credentials,
            )
        except httpx.HTTPError as error:
            raise ToolError(f"The service cannot be reached ({type(error).__name__}).") from error
        if not response.is_success:
            raise ToolError(str(refused(response)))
        return response.json() if response.content else None


def segment(name: str) -> str:
    """A name as a part of a path, whatever a model makes of it."""
    return quote(name, safe="") if name.strip(".") else "%2E"
