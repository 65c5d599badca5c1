"""The route class of every endpoint: its errors and middleware work in any FastAPI application."""

from collections.abc import Callable
from typing import Any, ClassVar

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from onionskin.memory.errors import OnionskinError
from onionskin.service.errors import ErrorFormat, handled_errors
from onionskin.service.json_body import with_valid_json
from onionskin.service.middleware import request_log
from onionskin.service.middleware.request_log import RequestLogMiddleware
from onionskin.service.middleware.timeouts import TimeoutMiddleware
from onionskin.service.middleware.trusted_hosts import TrustedHostMiddleware

TRUSTED_ORIGINS = "onionskin_origins"
"""Key of the lifespan state: origins that may send requests; None where all hosts and origins may.
"""


class GuardedApp:
    """An application inside the middleware of the service, unless the request has passed it.

    Args:
        app: The wrapped application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope.get(request_log.PASSED):
            await self._app(scope, receive, send)
            return
        state = scope["state"]
        app = TimeoutMiddleware(self._app, state["onionskin"].settings.request_timeout)
        origins = state.get(TRUSTED_ORIGINS)
        checked = app if origins is None else TrustedHostMiddleware(app, origins)
        await RequestLogMiddleware(checked)(scope, receive, send)


class ApiRoute(APIRoute):
    """A route that answers its own errors.

    An application that includes the route has error handlers and middleware of its own. There, the
    request log, the timeout and the check of hosts wrap the route alone.
    """

    error_format: ClassVar[ErrorFormat | None] = None
    """The format of errors; None for problem details."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """The handler, with responses in place of errors."""
        run = self.make_handler()

        async def handler(request: Request) -> Response:
            try:
                return await run(request)
            except (OnionskinError, RequestValidationError, HTTPException) as error:
                return await handled_errors(request, error)

        return handler

    def make_handler(self) -> Callable[[Request], Any]:
        """The handler that raises."""
        return super().get_route_handler()

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, inside the middleware that it has not passed yet."""
        await GuardedApp(super().handle)(scope, with_valid_json(scope, receive), send)
