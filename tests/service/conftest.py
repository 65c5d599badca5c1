"""A running service before a model that speaks the OpenAI protocol, and one that is offline."""

import asyncio
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from onionskin.memory.store.redis.embedded import EmbeddedRedis
from tests.openai_server import OpenAIServer
from tests.services import Service, running_service


@dataclass(frozen=True, slots=True)
class Backend:
    """A service, a client of it, and the model behind it."""

    service: Service
    client: httpx.Client
    model: OpenAIServer

    def say(self, user: str, message: str, **more: object) -> httpx.Response:
        return self.client.post("/v1/chat", json={"user_id": user, "message": message, **more})

    def transcript(self, user: str) -> list[str]:
        """All that is stored of a user, session by session."""
        said: list[str] = []
        for session in self.sessions(user):
            url = f"/v1/users/{user}/sessions/{session['session_id']}/messages"
            said += [one["content"] for one in self.client.get(url).json()["messages"]]
        return said

    def wait_for_fold(self, user: str, *, within: float = 20.0) -> dict[str, Any]:
        """The user's latest session, once a part of it is folded."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            session = self.sessions(user)[0]
            if session["folded_upto"]:
                return session
        raise AssertionError(f"nothing was folded within {within} s")

    def sessions(self, user: str) -> list[dict[str, Any]]:
        return self.client.get(f"/v1/users/{user}/sessions").json()["sessions"]


@contextmanager
def serving_model() -> Generator[OpenAIServer]:
    """The OpenAI server on a loop of its own, so that synchronous tests can use it."""
    started = threading.Event()
    server = OpenAIServer()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with server:
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    started.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


@contextmanager
def running_backend(model: OpenAIServer, folder: Path, **settings: str) -> Generator[Backend]:
    """A service that asks `model`, and a client of it."""
    plain = {
        "ONIONSKIN_MODEL_BASE_URL": model.base_url,
        "ONIONSKIN_MODEL": "test-model",
        "ONIONSKIN_MODEL_RETRIES": "0",
        "ONIONSKIN_MODEL_TIMEOUT": "30",  # on machines that are busy
        "ONIONSKIN_BREAKER_FAILURES": "0",
    }
    with running_service(folder, **plain | settings) as service, service.client() as client:
        yield Backend(service, client, model)


@pytest.fixture(scope="module")
def model() -> Iterator[OpenAIServer]:
    with serving_model() as server:
        yield server


@pytest.fixture(scope="module")
def settings_of_backend() -> dict[str, str]:
    """What a module wants its backend to be like."""
    return {}


@pytest.fixture(scope="module")
def backend(
    model: OpenAIServer,
    settings_of_backend: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Backend]:
    folder = tmp_path_factory.mktemp("onionskin")
    with running_backend(model, folder, **settings_of_backend) as found:
        yield found


@pytest.fixture(autouse=True)
def no_fault_outlives_its_test(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "model" in request.fixturenames:
        server: OpenAIServer = request.getfixturevalue("model")
        server.fault = None
        server.reply = OpenAIServer().reply
        server.faults.clear()


@pytest.fixture
def private_redis(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A Redis that belongs to the test, on a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = EmbeddedRedis(tmp_path / "redis")
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(20)
    yield server
    asyncio.run_coroutine_threadsafe(server.__aexit__(), loop).result(20)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()
