"""Slow clients: the head of a request comes within a time and a size, or the connection ends.

Whoever dribbles it in holds a socket and a few kilobytes, and not for long. Bodies are looked after
by `onionskin.service.middleware.timeouts`.
"""

import asyncio
from datetime import timedelta

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_LARGEST_HEAD_BYTES = 65_536
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n"
_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n"


class _HeaderTimeoutProtocol(HttpToolsProtocol):
    _within = timedelta(0)
    _head_bytes = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._timer is not None:
            self._head_bytes += len(data)
            if self._head_bytes > _LARGEST_HEAD_BYTES:
                self._refuse(_TOO_LARGE)

    def on_message_begin(self) -> None:
        self._begin()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._end()
        super().on_headers_complete()

    def _begin(self) -> None:
        if self._timer is None:
            self._head_bytes = 0
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._within.total_seconds(), self._refuse, _TOO_LATE)

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, answer: bytes) -> None:
        self._end()
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()


def header_timeout_protocol(within: timedelta) -> type[HttpToolsProtocol]:
    """The protocol of uvicorn, with a bound on how long and how large the head of a request is."""
    return type("Punctual", (_HeaderTimeoutProtocol,), {"_within": within})
