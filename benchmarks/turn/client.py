"""A client on a raw socket that times single turns and first tokens."""

import json
import socket
import time
from typing import Self
from urllib.parse import urlsplit

_HEAD_END, _FIRST_TOKEN, _LAST_CHUNK = b"\r\n\r\n", b"event: token", b"0\r\n\r\n"
_SECONDS, _PAUSE_SECONDS = 60.0, 1.0


class Client:
    """A persistent connection to a server.

    Args:
        url: URL of the server.
        rest: JSON text of a request body after user and message, as in `load`.
    """

    def __init__(self, url: str, rest: str) -> None:
        self._parts, self._rest = urlsplit(url), rest
        self._socket, self._used = self._connect(), time.perf_counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def turn(self, user: str, message: str) -> float:
        """Seconds to the complete answer."""
        self._reconnect_if_idle()
        began = time.perf_counter()
        self._send(user, message)
        self._read_response()
        return time.perf_counter() - began

    def first_token(self, user: str, message: str) -> float:
        """Seconds to the first token of a streamed answer."""
        self._reconnect_if_idle()
        began = time.perf_counter()
        self._send(user, message, stream=True)
        received = b""
        while _FIRST_TOKEN not in received:
            received += self._receive()
        seconds = time.perf_counter() - began
        while not received.endswith(_LAST_CHUNK):
            received += self._receive()
        return seconds

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(
            (self._parts.hostname, self._parts.port), timeout=_SECONDS
        )
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _reconnect_if_idle(self) -> None:
        """Reconnect after a pause, because the server may close an idle connection."""
        now = time.perf_counter()
        if now - self._used > _PAUSE_SECONDS:
            self._socket.close()
            self._socket = self._connect()
        self._used = now

    def _send(self, user: str, message: str, *, stream: bool = False) -> None:
        option = ',"stream":true' if stream else ""
        fields = f'"user_id":{json.dumps(user)},"message":{json.dumps(message)}'
        body = f"{{{fields}{option}{self._rest}}}".encode()
        head = (
            f"POST /v1/chat HTTP/1.1\r\nhost: {self._parts.netloc}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self._socket.sendall(head.encode() + body)

    def _read_response(self) -> None:
        received = b""
        while _HEAD_END not in received:
            received += self._receive()
        head, _, body = received.partition(_HEAD_END)
        status = head.split(b" ", 2)[1]
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        while len(body) < length:
            body += self._receive()
        if status != b"200":
            raise ConnectionError(f"The server answered {status.decode()}: {body.decode()}")

    def _receive(self) -> bytes:
        received = self._socket.recv(1 << 16)
        if not received:
            raise ConnectionError("The server closed the connection.")
        return received
