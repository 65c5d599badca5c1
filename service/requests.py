"""Around every request: its id, its line in the log, its figures. Pure ASGI, a few microseconds."""

import logging
import secrets
import time
from contextvars import ContextVar
from typing import Any, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.quotas import quota_headers
from service.state import State

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request at hand, for the log."""
_HEADER = "x-request-id"
_LONGEST = 128
_log = logging.getLogger("strata.requests")


class Requests:
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
        request_id, began = _request_id(scope), time.perf_counter()
        REQUEST_ID.set(request_id)  # for good: the server runs each request in a task of its own
        status, whole = 500, False

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


def _tell(scope: Scope, status: int, seconds: float) -> None:
    route: Any = scope.get("route")
    template = str(getattr(route, "path", "")) or "unknown"  # a path would hold user ids
    telemetry = cast("State", scope["state"]["strata"]).telemetry
    telemetry.request(scope["method"], template, status, seconds)
    milliseconds = round(seconds * 1000, 2)
    fields = {"method": scope["method"], "route": template, "status": status}
    _log.info("request", extra=fields | {"milliseconds": milliseconds})


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == _HEADER.encode() and 0 < len(value) <= _LONGEST:
            text = value.decode("latin-1")
            if text.isascii() and text.isprintable() and " " not in text:
                return text
    return secrets.token_hex(8)
