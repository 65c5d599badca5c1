"""Around every request: its id, its line in the log, its figures. Pure ASGI, a few microseconds."""

import logging
import secrets
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from onionskin.service.limits.headers import quota_headers
from onionskin.service.state import State

if TYPE_CHECKING:
    from onionskin.service.observability.tracing import RequestSpan

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request at hand, for the log."""
TRACE_ID: ContextVar[str] = ContextVar("trace_id", default="")
"""The trace of the request at hand, where traces are made."""
_UNTRACED = ("/healthz", "/readyz", "/metrics")
_HEADER = "x-request-id"
_LONGEST = 128
_log = logging.getLogger("onionskin.requests")


class RequestLogMiddleware:
    """Middleware, to stand outside of everything: every answer bears its id, one of 500 too.

    Args:
        app: what it stands around; its lifespan's state has the telemetry that is told.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        REQUEST_ID.set(request_id)  # for good: the server runs each request in a task of its own
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
        began, status, whole = time.perf_counter(), 500, False

        async def sending(message: Message) -> None:
            nonlocal status, whole
            if message["type"] == "http.response.start":
                status = message["status"]
                told = {_HEADER: request_id} | quota_headers(scope)
                pairs = ((name.encode(), value.encode()) for name, value in told.items())
                message["headers"] = [*message["headers"], *pairs]
            await send(message)
            whole = message["type"] == "http.response.body" and not message.get("more_body")

        try:
            await self._app(scope, receive, sending)
        except Exception:
            if not whole:  # the server logs it and ends the connection: nobody takes it for whole
                raise
            _log.exception("request failed")
        finally:
            _tell(scope, status, time.perf_counter() - began)
            if span:
                span.set_response(scope["method"], _route(scope), status)


def _tell(scope: Scope, status: int, seconds: float) -> None:
    route = _route(scope)
    _state(scope).metrics.request(scope["method"], route, status, seconds)
    milliseconds = round(seconds * 1000, 2)
    fields = {"method": scope["method"], "route": route, "status": status}
    _log.info("request", extra=fields | {"milliseconds": milliseconds})


def _route(scope: Scope) -> str:
    route: Any = scope.get("route")
    return str(getattr(route, "path", "")) or "unknown"  # a path would hold user ids


def _state(scope: Scope) -> State:
    return cast("State", scope["state"]["onionskin"])


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == _HEADER.encode() and 0 < len(value) <= _LONGEST:
            text = value.decode("latin-1")
            if text.isascii() and text.isprintable() and " " not in text:
                return text
    return secrets.token_hex(8)
