"""One client of few turns, on a raw socket: for the first token, and for turns by number."""

import json
import socket
import time
from typing import Self
from urllib.parse import urlsplit

_HEAD_END, _FIRST_TOKEN, _LAST_CHUNK = b"\r\n\r\n", b"event: token", b"0\r\n\r\n"
_SECONDS, _PAUSE_SECONDS = 60.0, 1.0


class Client:
    """A connection that is kept.

    Args:
        url: of the server.
        rest: what a body holds beside user and message, as in `load`.
    """

    def __init__(self, url: str, rest: str) -> None:
        self._parts, self._rest = urlsplit(url), rest
        self._socket, self._used = self._connect(), time.perf_counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def turn(self, user: str, message: str) -> float:
        """Seconds until the whole answer was there."""
        self._wake()
        began = time.perf_counter()
        self._send(user, message)
        self._whole()
        return time.perf_counter() - began

    def first_token(self, user: str, message: str) -> float:
        """Seconds until the first piece of a streamed answer was there."""
        self._wake()
        began = time.perf_counter()
        self._send(user, message, stream=True)
        came = b""
        while _FIRST_TOKEN not in came:
            came += self._receive()
        took = time.perf_counter() - began
        while not came.endswith(_LAST_CHUNK):
            came += self._receive()
        return took

    def _connect(self) -> socket.socket:
        made = socket.create_connection((self._parts.hostname, self._parts.port), timeout=_SECONDS)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def _wake(self) -> None:
        """Connect anew after a pause: the server may be about to hang up."""
        now = time.perf_counter()
        if now - self._used > _PAUSE_SECONDS:
            self._socket.close()
            self._socket = self._connect()
        self._used = now

    def _send(self, user: str, message: str, *, stream: bool = False) -> None:
        wanted = ',"stream":true' if stream else ""
        said = f'"user_id":{json.dumps(user)},"message":{json.dumps(message)}'
        body = f"{{{said}{wanted}{self._rest}}}".encode()
        head = (
            f"POST /v1/chat HTTP/1.1\r\nhost: {self._parts.netloc}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self._socket.sendall(head.encode() + body)

    def _whole(self) -> None:
        came = b""
        while _HEAD_END not in came:
            came += self._receive()
        head, _, body = came.partition(_HEAD_END)
        status = head.split(b" ", 2)[1]
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        while len(body) < length:
            body += self._receive()
        if status != b"200":
            raise ConnectionError(f"The server answered {status.decode()}: {body.decode()}")

    def _receive(self) -> bytes:
        came = self._socket.recv(1 << 16)
        if not came:
            raise ConnectionError("The server hung up.")
        return came
