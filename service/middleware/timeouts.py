"""Middleware that ends requests without progress: with an error, or by cutting off a stream.

The request is cancelled. A turn is committed whole or not at all, so nothing is stored in part.
"""

import asyncio
import logging
from datetime import timedelta

from fastapi import Request
from fastapi.sse import KEEPALIVE_COMMENT
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from onionskin.memory.errors import OnionskinError
from onionskin.service.errors import error_response

_RESCHEDULE_THRESHOLD = 0.01
"""Fraction of the timeout by which rescheduling may lag, to avoid rescheduling on every chunk."""
_log = logging.getLogger("onionskin.requests")


class RequestTimeoutError(OnionskinError):
    """A request made no progress for too long."""

    code = "request_timeout"

    def __init__(self, timeout: timedelta) -> None:
        super().__init__(
            f"The request was stopped after {timeout.total_seconds():g} seconds without progress. "
            "The message of a turn is kept. Try again, with the same Idempotency-Key if it had one."
        )


class TimeoutMiddleware:
    """Ends requests without progress.

    Each chunk of a body, in either direction, restarts the timeout; keep-alives do not. So a slow
    import and a streamed answer continue as long as they progress.

    Args:
        app: The wrapped application.
        timeout: Time limit without progress; zero for none.
    """

    def __init__(self, app: ASGIApp, timeout: timedelta) -> None:
        self._app, self._timeout = app, timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request within the timeout."""
        if scope["type"] != "http" or not self._timeout:
            await self._app(scope, receive, send)
            return
        timer = _ActivityTimer(receive, send, self._timeout.total_seconds())
        try:
            async with timer.limit:
                await self._app(scope, timer.receive, timer.send)
        except TimeoutError:
            if not timer.limit.expired():
                raise
            _log.warning("request timed out")
            if timer.has_started:
                raise  # the response has started: the server closes the connection
            response = error_response(Request(scope), RequestTimeoutError(self._timeout))
            await response(scope, receive, send)


class _ActivityTimer:
    """Wraps receive and send of a request; activity on them postpones its timeout."""

    def __init__(self, receive: Receive, send: Send, seconds: float) -> None:
        self._receive, self._send, self._seconds = receive, send, seconds
        self._last_activity = asyncio.get_running_loop().time()
        self.limit, self.has_started = asyncio.timeout(seconds), False

    async def receive(self) -> Message:
        """Receive the next message of the request."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._postpone()
        return message

    async def send(self, message: Message) -> None:
        """Send the next message of the response."""
        self.has_started = True
        await self._send(message)
        if message.get("body") != KEEPALIVE_COMMENT:
            self._postpone()

    def _postpone(self) -> None:
        now = asyncio.get_running_loop().time()
        if (
            now - self._last_activity > self._seconds * _RESCHEDULE_THRESHOLD
            and not self.limit.expired()
        ):
            self._last_activity = now
            self.limit.reschedule(now + self._seconds)
