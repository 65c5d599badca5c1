"""No request is silent for ever: one that takes too long is answered so, a stream is cut off.

What is under way is cancelled; a turn is committed whole or not at all, so nothing is half-stored.
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
"""Of the time within which something must move, how much of it a movement may be too little."""
_log = logging.getLogger("onionskin.requests")


class RequestTimeoutError(OnionskinError):
    """A request took too long."""

    code = "request_timeout"

    def __init__(self, within: timedelta) -> None:
        super().__init__(
            f"The request was stopped: nothing came of it for {within.total_seconds():g} seconds. "
            "Nothing is stored in part. Try again, under the same Idempotency-Key if it had one."
        )


class TimeoutMiddleware:
    """Middleware.

    The time runs anew with each piece of a body that comes or goes: an import that is sent slowly
    and an answer that is streamed go on as long as they move. Keep-alives are no movement.

    Args:
        app: what it stands around.
        within: how long nothing may come of a request; zero for ever.
    """

    def __init__(self, app: ASGIApp, within: timedelta) -> None:
        self._app, self._within = app, within

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request in time."""
        if scope["type"] != "http" or not self._within:
            await self._app(scope, receive, send)
            return
        watched = _ActivityTimer(receive, send, self._within.total_seconds())
        try:
            async with watched.limit:
                await self._app(scope, watched.receive, watched.send)
        except TimeoutError:
            if not watched.limit.expired():
                raise
            _log.warning("request timed out")
            if watched.has_begun:
                raise  # what was sent cannot be taken back: the connection ends in the middle
            response = error_response(Request(scope), RequestTimeoutError(self._within))
            await response(scope, receive, send)


class _ActivityTimer:
    """A request's two directions; whatever moves on them puts its end off."""

    def __init__(self, receive: Receive, send: Send, seconds: float) -> None:
        self._receive, self._send, self._seconds = receive, send, seconds
        self._put_off = asyncio.get_running_loop().time()
        self.limit, self.has_begun = asyncio.timeout(seconds), False

    async def receive(self) -> Message:
        """The next piece of the request."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._moved()
        return message

    async def send(self, message: Message) -> None:
        """The next piece of the answer."""
        self.has_begun = True
        await self._send(message)
        if message.get("body") != KEEPALIVE_COMMENT:
            self._moved()

    def _moved(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._put_off > self._seconds * _RESCHEDULE_THRESHOLD and not self.limit.expired():
            self._put_off = now
            self.limit.reschedule(now + self._seconds)
