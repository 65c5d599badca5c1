"""Closes connections whose request head arrives too slowly or grows too large.

A slow client holds a socket and a few kilobytes only for that time. Request bodies have their
timeout in `onionskin.service.middleware.timeouts`.
"""

import asyncio
from datetime import timedelta

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MAX_HEAD_BYTES = 65_536
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n"
_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n"


class _HeaderTimeoutProtocol(HttpToolsProtocol):
    _timeout = timedelta(0)
    _head_bytes = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._timer is not None:
            self._head_bytes += len(data)
            if self._head_bytes > _MAX_HEAD_BYTES:
                self._refuse(_TOO_LARGE)

    def on_message_begin(self) -> None:
        self._start_timer()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._stop_timer()
        super().on_headers_complete()

    def _start_timer(self) -> None:
        if self._timer is None:
            self._head_bytes = 0
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._timeout.total_seconds(), self._refuse, _TOO_LATE)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, response: bytes) -> None:
        self._stop_timer()
        if not self.transport.is_closing():
            self.transport.write(response)
            self.transport.close()


def header_timeout_protocol(timeout: timedelta) -> type[HttpToolsProtocol]:
    """Uvicorn's protocol with limits on time and size of a request head."""
    return type("HeaderTimeoutProtocol", (_HeaderTimeoutProtocol,), {"_timeout": timeout})
