"""Clients that dribble their request in, or send heads without end."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from tests.services import Service, running_service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"ONIONSKIN_MODEL": "offline", "ONIONSKIN_HEAD_TIMEOUT": "3"}
    with running_service(tmp_path_factory.mktemp("slow"), **settings) as service:
        yield service


def _connected(service: Service) -> socket.socket:
    host, port = service.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def test_a_head_that_does_not_come_ends_the_connection(service: Service) -> None:
    for sent in (b"", b"GET /heal", b"POST /v1/chat HTTP/1.1\r\nHost: localhost\r\nX-A: "):
        with closing(_connected(service)) as slow:
            slow.sendall(sent)
            assert slow.recv(100).startswith(b"HTTP/1.1 408 ")
            assert slow.recv(100) == b""


def test_one_that_dribbles_is_no_exception(service: Service) -> None:
    with closing(_connected(service)) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\n")
        began = time.monotonic()
        with suppress(OSError):  # closed or reset, as the kernel has it
            while time.monotonic() - began < 20:
                slow.sendall(b"X-A: y\r\n")
                time.sleep(0.1)
        assert time.monotonic() - began < 20


def test_a_head_without_end_is_refused(service: Service) -> None:
    with closing(_connected(service)) as large:
        large.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        for number in range(5):
            large.sendall(f"X-{number}: {'y' * 16_000}\r\n".encode())
        assert b" 431 " in large.recv(100)


def test_a_connection_that_is_used_again_is_left_alone(service: Service) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with closing(_connected(service)) as kept:
        for _ in range(3):
            kept.sendall(request)
            answer = b""
            while not answer.endswith(b"}"):
                answer += kept.recv(1000)
            assert answer.startswith(b"HTTP/1.1 200 ")
            time.sleep(1.6)


def test_a_slow_body_is_not_a_slow_head(service: Service) -> None:
    body = b'{"user_id": "ann", "message": "Hello there."}'
    head = "POST /v1/chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    with closing(_connected(service)) as slow:
        slow.sendall(head.encode())
        for start in range(0, len(body), 10):
            time.sleep(0.8)
            slow.sendall(body[start : start + 10])
        assert slow.recv(1000).startswith(b"HTTP/1.1 200 ")
