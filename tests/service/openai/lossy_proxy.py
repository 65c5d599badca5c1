"""A relay in front of the service that loses answers on their way to the client."""

import itertools
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import httpx

Loss = Literal["dropped", "failed", "delayed", "early", "cut", "late"] | None
"""The answer is dropped; a 500 comes in its place; it comes when the client has given up; the
client is cut off before the service has answered, and the service does not know; or it does; or the
request itself reaches the service when the client has long tried again."""
_LATE_SECONDS = 0.6
"""How late a delayed answer or request is: longer than the client's patience."""


class Relay:
    """Hands requests on, in turn to each service.

    Attributes:
        url: where it listens.
        loses: what becomes of the answer to a try, by how many tries of the request came before.
        lost: how many answers were lost, by how.
    """

    def __init__(self, services: Sequence[str], loses: Callable[[int], Loss]) -> None:
        self.url = ""
        self.loses, self.lost, self._tries = loses, Counter[str](), Counter[bytes]()
        self._services = itertools.cycle(services)
        self._client = httpx.Client(timeout=20)

    def hand_on(self, asked: BaseHTTPRequestHandler) -> None:
        body = asked.rfile.read(int(asked.headers["content-length"] or 0))
        passed = {k: v for k, v in asked.headers.items() if k.lower() not in ("host", "connection")}
        url = f"{next(self._services)}{asked.path}"
        loss = self.loses(self._tries[body])
        self._tries[body] += 1
        if loss:
            self.lost[loss] += 1
        asked.close_connection = True
        if loss in ("early", "late"):
            _hang_up(asked)
        if loss == "late":
            time.sleep(_LATE_SECONDS)
        with self._client.stream("POST", url, content=body, headers=passed) as answer:
            content = b"" if loss == "cut" else answer.read()
        if loss in ("dropped", "cut"):
            _hang_up(asked)
        if loss == "delayed":
            time.sleep(_LATE_SECONDS)
        if loss == "failed":
            _send(asked, 500, "application/json", b'{"error": {"message": "lost"}}')
        elif loss in (None, "delayed"):
            _send(asked, answer.status_code, answer.headers["content-type"], content)

    def close(self) -> None:
        self._client.close()


def _hang_up(asked: BaseHTTPRequestHandler) -> None:
    with suppress(OSError):
        asked.connection.shutdown(socket.SHUT_RDWR)


def _send(asked: BaseHTTPRequestHandler, status: int, kind: str, content: bytes) -> None:
    with suppress(OSError):  # the client may have given up
        asked.send_response(status)
        asked.send_header("content-type", kind)
        asked.send_header("content-length", str(len(content)))
        asked.end_headers()
        asked.wfile.write(content)


@contextmanager
def losing_relay(*services: str, loses: Callable[[int], Loss]) -> Generator[Relay]:
    """A relay for as long as the block lasts."""
    relay = Relay(services, loses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            relay.hand_on(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False  # closing waits for answers that are late
    relay.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield relay
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
        relay.close()
