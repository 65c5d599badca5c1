"""Middleware that gives each request an id, a log line, metrics and a span. Pure ASGI."""

import logging
import secrets
import time
from typing import TYPE_CHECKING, Any, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from onionskin.service.limits.headers import quota_headers
from onionskin.service.observability.request_context import REQUEST_ID, TRACE_ID
from onionskin.service.state import State

if TYPE_CHECKING:
    from onionskin.service.observability.tracing import RequestSpan

PASSED = "onionskin.logged"
"""Key of the scope of a request that is logged."""
_UNTRACED = ("/healthz", "/readyz", "/metrics")
_HEADER = b"x-request-id"
_MAX_ID_LENGTH = 128
_log = logging.getLogger("onionskin.requests")


class RequestLogMiddleware:
    """Outermost middleware: every response has a request id, a 500 too.

    Args:
        app: The wrapped application; its lifespan state holds the metrics.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope[PASSED] = True
        request_id = _request_id(scope)
        REQUEST_ID.set(request_id)  # never reset: the server runs each request in its own task
        tracing = _state(scope).tracing
        if tracing is None or scope["path"] in _UNTRACED:
            await self._answer(scope, receive, send, request_id)
            return
        with tracing.request(scope) as span:
            TRACE_ID.set(span.trace_id)
            await self._answer(scope, receive, send, request_id, span)

    async def _answer(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        request_id: str,
        span: "RequestSpan | None" = None,
    ) -> None:
        started, status, complete = time.perf_counter(), 500, False

        async def send_with_headers(message: Message) -> None:
            nonlocal status, complete
            if message["type"] == "http.response.start":
                status = message["status"]
                own = (_HEADER, request_id.encode())
                message["headers"] = [*message["headers"], own, *quota_headers(scope)]
            await send(message)
            complete = message["type"] == "http.response.body" and not message.get("more_body")

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:
            if not complete:  # the server logs it and closes the connection
                raise
            _log.exception("request failed")
        finally:
            route = _route(scope)
            _record(scope, route, status, time.perf_counter() - started)
            if span:
                span.set_response(scope["method"], route, status)


def _record(scope: Scope, route: str, status: int, seconds: float) -> None:
    _state(scope).metrics.request(scope["method"], route, status, seconds)
    milliseconds = round(seconds * 1000, 2)
    fields = {"method": scope["method"], "route": route, "status": status}
    _log.info("request", extra=fields | {"milliseconds": milliseconds})


def _route(scope: Scope) -> str:
    route: Any = scope.get("route")
    return str(getattr(route, "path", "")) or "unknown"  # the path itself may hold a user id


def _state(scope: Scope) -> State:
    return cast("State", scope["state"]["onionskin"])


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == _HEADER and 0 < len(value) <= _MAX_ID_LENGTH:
            text = value.decode("latin-1")
            if text.isascii() and text.isprintable() and " " not in text:
                return text
    return secrets.token_hex(8)
