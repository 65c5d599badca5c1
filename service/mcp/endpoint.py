"""`/mcp`: MCP over streamable HTTP in the service's process, loaded on the first request."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import httpx
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from onionskin.memory.cancellation import cancel_and_wait
from onionskin.memory.errors import InvalidInputError, OnionskinError
from onionskin.service.auth.principals import Principal
from onionskin.service.errors import error_response
from onionskin.service.limits.headers import add_quotas
from onionskin.service.state import State

if TYPE_CHECKING:
    from mcp.server.mcpserver import Context

_USER = "onionskin.mcp.user"
_PATH = "/mcp"
_USER_HEADER = "x-onionskin-user"


@dataclass(frozen=True, slots=True)
class HttpCaller:
    """A caller over HTTP."""

    headers: Mapping[str, str]
    user: str


class McpEndpoint:
    """The ASGI application at `/mcp`; as a context manager it stops its server on exit.

    The user is the only one that the credentials may access, or else the one in
    `X-Onionskin-User` or `?user=`. Tools call the API, so its authentication, limits,
    budgets and traces apply to them.

    Args:
        make_app: Makes the application whose API the tools call; called for the first request.
        version: Version of the service.
    """

    def __init__(self, make_app: Callable[[], ASGIApp], version: str) -> None:
        self._make_app, self._version = make_app, version
        self._serving: asyncio.Task[None] | None = None
        self._handler: asyncio.Future[ASGIApp] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._serving:
            await cancel_and_wait(self._serving)
        self._serving = self._handler = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of an MCP client; without a user that it may access, with a problem."""
        try:
            handler = await self._admit(scope)
        except OnionskinError as error:
            await error_response(Request(scope), error)(scope, receive, send)
            return
        # The handler is an application of its own, which knows no prefix of this one.
        await handler({**scope, "path": _PATH, "root_path": ""}, receive, send)

    async def _admit(self, scope: Scope) -> ASGIApp:
        """The handler, for a request whose credentials and user are in order."""
        state: State = scope["state"]["onionskin"]
        request = Request(scope)
        principal = await state.authenticator.authenticate(request.headers)
        add_quotas(scope, await state.rate_limits.check_principal(principal.id))
        scope[_USER] = _user(request, principal)
        if self._handler is None:
            self._handler = asyncio.get_running_loop().create_future()
            self._serving = asyncio.create_task(self._run(state, self._handler), name="mcp")
        return await asyncio.shield(self._handler)

    async def _run(self, state: State, ready: asyncio.Future[ASGIApp]) -> None:
        try:
            await self._serve(state, ready)
        except Exception as error:  # requests that wait for the server raise it
            if not ready.done():
                ready.set_exception(error)
            raise

    async def _serve(self, state: State, ready: asyncio.Future[ASGIApp]) -> None:
        from mcp.server.transport_security import TransportSecuritySettings  # noqa: PLC0415

        from onionskin.service.mcp.api_client import Api  # noqa: PLC0415
        from onionskin.service.mcp.server import make_server  # noqa: PLC0415

        app = self._make_app()

        async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
            scope["state"] = {"onionskin": state}
            await app(scope, receive, send)

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
    user_id = request.headers.get(_USER_HEADER) or request.query_params.get("user")
    if user_id or principal.user_id:
        return user_id or principal.user_id or ""
    raise InvalidInputError(
        "These credentials may access several users: name one with the header X-Onionskin-User, "
        "or append ?user= to the address."
    )


def _caller(context: "Context[Any, Any]") -> HttpCaller:
    request: Request = context.request_context.request  # pyright: ignore[reportAssignmentType]
    return HttpCaller(request.headers, request.scope[_USER])
