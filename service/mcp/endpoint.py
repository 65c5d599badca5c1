"""`/mcp`: MCP over streamable HTTP, in the service's own process. Loaded with its first request."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import httpx
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from onionskin.memory.cancellation import cancel_and_wait
from onionskin.memory.errors import InvalidInputError
from onionskin.service.auth.principals import Principal
from onionskin.service.limits.headers import add_quotas
from onionskin.service.state import State

if TYPE_CHECKING:
    from mcp.server.mcpserver import Context

_USER = "onionskin.mcp.user"
_NAMED_BY = "x-onionskin-user"


@dataclass(frozen=True, slots=True)
class HttpCaller:
    """Who calls over HTTP."""

    headers: Mapping[str, str]
    user: str


class McpEndpoint:
    """The ASGI application at `/mcp`, and while it is entered, the server behind it.

    The user is the one that the credentials reach; where they reach several, the one that
    `X-Onionskin-User` or `?user=` names. Tools call the API of `app`, so that what holds there holds
    for them: authentication, limits, budgets, traces.
    """

    def __init__(self, app: ASGIApp, version: str) -> None:
        self._app, self._version = app, version
        self._serving: asyncio.Task[None] | None = None
        self._handler: asyncio.Future[ASGIApp] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._serving:
            await cancel_and_wait(self._serving)
        self._serving = self._handler = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of an MCP client.

        Raises:
            UnauthorizedError: its credentials do not hold.
            InvalidInputError: nobody can tell which user it is about.
        """
        state: State = scope["state"]["onionskin"]
        request = Request(scope)
        principal = await state.authenticator.authenticate(request.headers)
        add_quotas(scope, await state.rate_limits.check_principal(principal.id))
        scope[_USER] = _user(request, principal)
        if self._handler is None:
            self._handler = asyncio.get_running_loop().create_future()
            self._serving = asyncio.create_task(self._opened(state, self._handler), name="mcp")
        handler = await asyncio.shield(self._handler)
        await handler(scope, receive, send)

    async def _opened(self, state: State, ready: asyncio.Future[ASGIApp]) -> None:
        try:
            await self._serve(state, ready)
        except Exception as error:  # whoever waits is told
            if not ready.done():
                ready.set_exception(error)
            raise

    async def _serve(self, state: State, ready: asyncio.Future[ASGIApp]) -> None:
        from mcp.server.transport_security import TransportSecuritySettings  # noqa: PLC0415

        from onionskin.service.mcp.api_client import Api  # noqa: PLC0415
        from onionskin.service.mcp.server import make_server  # noqa: PLC0415

        async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
            scope["state"] = {"onionskin": state}
            await self._app(scope, receive, send)

        transport = httpx.ASGITransport(with_state, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            server = make_server(Api(client), _caller, version=self._version)
            handler = server.streamable_http_app(
                stateless_http=True,
                json_response=True,
                max_request_body_size=state.settings.largest_body,
                transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
            )
            async with server.session_manager.run():
                ready.set_result(handler)
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()


def _user(request: Request, principal: Principal) -> str:
    named = request.headers.get(_NAMED_BY) or request.query_params.get("user")
    if named or principal.user_id:
        return named or principal.user_id or ""
    raise InvalidInputError(
        "Whose memory? These credentials reach several users: name one with the header "
        "X-Onionskin-User, or with ?user= behind the address."
    )


def _caller(context: "Context[Any, Any]") -> HttpCaller:
    request: Request = context.request_context.request  # pyright: ignore[reportAssignmentType]
    return HttpCaller(request.headers, request.scope[_USER])
