"""A relay in front of the service that loses answers after the service has given them."""

import itertools
import socket
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import httpx

Loss = Literal["hang up", "500"] | None


class Relay:
    """Hands requests on, in turn to each service.

    Attributes:
        url: where it listens.
        loses: what becomes of the answer to a request, by its number.
        lost: how many answers were lost.
    """

    def __init__(self, services: Sequence[str], loses: Callable[[int], Loss]) -> None:
        self.url = ""
        self.loses, self.lost = loses, 0
        self._numbers, self._services = itertools.count(), itertools.cycle(services)
        self._client = httpx.Client(timeout=60)

    def hand_on(self, asked: BaseHTTPRequestHandler) -> None:
        body = asked.rfile.read(int(asked.headers["content-length"] or 0))
        passed = {k: v for k, v in asked.headers.items() if k.lower() not in ("host", "connection")}
        url = f"{next(self._services)}{asked.path}"
        answer = self._client.post(url, content=body, headers=passed)
        loss = self.loses(next(self._numbers))
        asked.close_connection = True
        if loss == "hang up":
            self.lost += 1
            asked.connection.shutdown(socket.SHUT_RDWR)
            return
        self.lost += loss == "500"
        content = b'{"error": {"message": "lost"}}' if loss == "500" else answer.content
        asked.send_response(500 if loss == "500" else answer.status_code)
        asked.send_header("content-type", answer.headers["content-type"])
        asked.send_header("content-length", str(len(content)))
        asked.end_headers()
        asked.wfile.write(content)

    def close(self) -> None:
        self._client.close()


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
