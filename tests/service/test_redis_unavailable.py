"""A Redis of one's own that does not answer: 503 in time, and recovery without a restart."""

import os
import signal
import time
from functools import partial
from pathlib import Path

from onionskin.memory.store.redis.embedded import EmbeddedRedis
from tests.openai_server import OpenAIServer, Request
from tests.service.conftest import running_backend
from tests.services import running_service


def test_a_redis_that_hangs_gives_503_and_recovery(
    private_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    settings = {"ONIONSKIN_REDIS_URL": private_redis.url, "ONIONSKIN_REDIS_TIMEOUT": "0.3"}
    assert private_redis.pid
    with running_service(tmp_path, **settings) as service, service.client() as client:
        body = {"user_id": "alice", "message": "Hello."}
        client.post("/v1/chat", json=body).raise_for_status()
        os.kill(private_redis.pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            response = client.post("/v1/chat", json=body)
            assert response.status_code == 503
            assert "retry-after" in response.headers
            assert time.monotonic() - started < 15
            stream = client.post("/v1/chat", json=body | {"stream": True})
            assert stream.status_code == 503
            assert client.get("/readyz").status_code == 503
            assert client.get("/healthz").status_code == 200
        finally:
            os.kill(private_redis.pid, signal.SIGCONT)
        answer = client.post("/v1/chat", json=body).raise_for_status().json()
        # What was sent and not acknowledged may be stored; if so, then as a whole turn.
        assert int(answer["turn_id"].rpartition(".")[2]) % 2 == 0
        assert client.get("/readyz").status_code == 200


def test_a_redis_that_is_not_there_yet_is_waited_for_by_the_client(tmp_path: Path) -> None:
    settings = {"ONIONSKIN_REDIS_URL": f"unix://{tmp_path}/nobody.sock"}
    with running_service(tmp_path, **settings) as service, service.client() as client:
        response = client.post("/v1/chat", json={"user_id": "alice", "message": "Hello."})
        assert response.status_code == 503
        assert str(tmp_path) not in response.text
        assert client.get("/v1/users/alice/sessions").status_code == 503
        assert client.get("/readyz").status_code == 503


def test_silent_sessions_are_closed_again_once_redis_is_back(
    private_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    settings = {
        "ONIONSKIN_REDIS_URL": private_redis.url,
        "ONIONSKIN_REDIS_TIMEOUT": "0.2",
        "ONIONSKIN_CLOSE_AFTER": "0.1",
    }
    assert private_redis.pid
    with running_service(tmp_path, **settings) as service, service.client() as client:
        os.kill(private_redis.pid, signal.SIGSTOP)
        try:
            deadline = time.monotonic() + 2  # longer than the pause between two sweeps
            while time.monotonic() < deadline:
                assert client.get("/readyz").status_code == 503
        finally:
            os.kill(private_redis.pid, signal.SIGCONT)
        client.post("/v1/chat", json={"user_id": "alice", "message": "Hello."}).raise_for_status()
        deadline = time.monotonic() + 20
        while not client.get("/v1/users/alice/sessions").json()["sessions"][0]["closed"]:
            assert time.monotonic() < deadline


def test_a_request_that_failed_with_redis_may_be_tried_again_once_it_is_back(
    private_redis: EmbeddedRedis, model: OpenAIServer, tmp_path: Path
) -> None:
    settings = {"ONIONSKIN_REDIS_URL": private_redis.url, "ONIONSKIN_REDIS_TIMEOUT": "0.3"}
    pid = private_redis.pid
    assert pid

    def stop(_: Request) -> str:
        os.kill(pid, signal.SIGSTOP)
        return "Hello."

    with running_backend(model, tmp_path, **settings) as backend:
        model.reply = stop
        body = {"user_id": "alice", "message": "Hello?"}
        ask = partial(
            backend.client.post, "/v1/chat", json=body, headers={"Idempotency-Key": "one"}
        )
        try:
            assert ask().status_code == 503
        finally:
            os.kill(pid, signal.SIGCONT)
        model.reply = lambda _: "Hello."
        deadline = time.monotonic() + 25  # the claim would hold for half a minute
        while (answer := ask()).status_code == 409:
            assert time.monotonic() < deadline
        assert answer.raise_for_status().json()["reply"] == "Hello."
        assert backend.transcript("alice") == ["Hello?", "Hello."]
