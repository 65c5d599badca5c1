"""The keys of a token issuer: fetched once, kept while the issuer is away, never a 500."""

import asyncio
import json
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from onionskin.memory.store.redis.embedded import EmbeddedRedis
from onionskin.service.auth.jwks import IssuerKeys, IssuerUnavailableError, RefreshPolicy
from onionskin.service.auth.principals import UnauthorizedError
from tests.polling import until
from tests.services import running_service

_RSA, _EC = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
_POLICY = RefreshPolicy(timeout=0.3, lifetime=600, pause=30, backoff=1, longest_backoff=60)


def _published(*names: str) -> dict[str, Any]:
    keys = {
        "rsa": RSAAlgorithm.to_jwk(_RSA.public_key(), as_dict=True),
        "ec": ECAlgorithm.to_jwk(_EC.public_key(), as_dict=True),
    }
    return {"keys": [keys[name] | {"kid": name} for name in names]}


@dataclass
class Issuer:
    """An issuer whose answer can be changed, and held back."""

    document: object = field(default_factory=lambda: _published("rsa", "ec"))
    status: int = 200
    open: Event = field(default_factory=Event)
    fetches: int = 0
    url: str = ""

    def __post_init__(self) -> None:
        self.open.set()


@contextmanager
def _running_issuer() -> Generator[Issuer]:
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.fetches += 1
            issuer.open.wait(30)
            self.send_response(issuer.status)
            self.end_headers()
            self.wfile.write(json.dumps(issuer.document).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    issuer.url = f"http://127.0.0.1:{server.server_port}/keys"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield issuer
    finally:
        issuer.open.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with _running_issuer() as running:
        yield running


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_known_keys_serve_while_the_issuer_hangs(issuer: Issuer) -> None:
    clock = Clock()
    keys = IssuerKeys(issuer.url, _POLICY, clock=clock)
    key = await keys.find("rsa")
    issuer.open.clear()
    clock.now += 601
    async with _no_waiting():
        assert await keys.find("rsa") is key
        assert await keys.find("rsa") is key
    await _idle()
    assert issuer.fetches == 2


async def test_an_unknown_key_delays_no_other_token(issuer: Issuer) -> None:
    clock = Clock()
    keys = IssuerKeys(issuer.url, _POLICY, clock=clock)
    await keys.find("rsa")
    issuer.open.clear()
    clock.now += 31
    unknown = [asyncio.create_task(keys.find(f"unknown {number}")) for number in range(5)]
    await asyncio.sleep(0)
    async with _no_waiting():
        await keys.find("ec")
    answers = await asyncio.gather(*unknown, return_exceptions=True)
    assert {type(answer) for answer in answers} == {IssuerUnavailableError}
    assert issuer.fetches == 2


async def test_after_a_failure_requests_fail_at_once_until_the_backoff_is_over(
    issuer: Issuer,
) -> None:
    clock = Clock()
    keys = IssuerKeys(issuer.url, _POLICY, clock=clock)
    issuer.status = 500
    pauses: list[float] = []
    for _ in range(4):
        with pytest.raises(IssuerUnavailableError) as error:
            await keys.find("rsa")
        before = issuer.fetches
        async with _no_waiting():
            with pytest.raises(IssuerUnavailableError):
                await keys.find("rsa")
        assert issuer.fetches == before
        assert error.value.retry_after
        pauses.append(error.value.retry_after.total_seconds())
        clock.now += pauses[-1]
    assert pauses == [1, 2, 4, 8]
    issuer.status = 200
    assert await keys.find("rsa")


async def test_an_unknown_key_of_a_reachable_issuer_is_refused_and_asked_for_rarely(
    issuer: Issuer,
) -> None:
    clock = Clock()
    keys = IssuerKeys(issuer.url, _POLICY, clock=clock)
    for _ in range(3):
        with pytest.raises(UnauthorizedError, match="does not publish"):
            await keys.find("unknown")
    assert issuer.fetches == 1
    issuer.document = _published("rsa", "ec") | {"more": 1}
    clock.now += 31
    with pytest.raises(UnauthorizedError):
        await keys.find("unknown")
    assert issuer.fetches == 2


@pytest.mark.parametrize(
    "document",
    [[], 5, None, "keys", {}, {"keys": 5}, {"keys": [5]}, {"keys": []}, {"keys": [{"kty": "RSA"}]}],
)
async def test_a_document_that_is_no_key_set_counts_as_an_outage(
    issuer: Issuer, document: object
) -> None:
    issuer.document = document
    keys = IssuerKeys(issuer.url, _POLICY, clock=Clock())
    with pytest.raises(IssuerUnavailableError, match="ONIONSKIN_JWT_JWKS_URL"):
        await keys.find("rsa")


def test_the_service_answers_503_for_the_issuer_and_401_for_the_token(
    tmp_path: Path, private_redis: EmbeddedRedis, issuer: Issuer
) -> None:
    settings = {
        "ONIONSKIN_AUTH": "jwt",
        "ONIONSKIN_MODEL": "offline",
        "ONIONSKIN_REDIS_URL": private_redis.url,
        "ONIONSKIN_JWT_JWKS_URL": issuer.url,
    }
    url = "/v1/users/alice/sessions"
    with running_service(tmp_path, **settings) as service, service.client() as client:
        issuer.document = []
        refused = client.get(url, headers=_token(_RSA, "RS256", "rsa"))
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        issuer.document = _published("rsa", "ec")

        def accepted() -> bool:
            return client.get(url, headers=_token(_RSA, "RS256", "rsa")).status_code == 200

        until(accepted)
        assert client.get(url, headers=_token(_EC, "ES256", "ec")).status_code == 200
        for wrong in (
            _token(_RSA, "RS256", "ec"),
            _token(_EC, "ES256", "rsa"),
            _token(_RSA, "RS512", "rsa"),
            _token(_RSA, "RS256", "rsa", sub="\ud83d"),
            _token(_RSA, "RS256", "rsa", sub=5),
            _token(_RSA, "RS256", "rsa", tenant="\ud83d"),
        ):
            assert client.get(url, headers=wrong).status_code == 401
        late = client.get(url, headers=_token(_RSA, "RS256", "rsa", exp=1)).json()
        assert "has expired" in late["detail"]


def _token(key: Any, algorithm: str, key_id: str, **claims: object) -> dict[str, str]:
    given = {"sub": "alice", "exp": 4_000_000_000} | claims
    token = jwt.encode(given, key, algorithm, headers={"kid": key_id})
    return {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def _no_waiting() -> AsyncGenerator[None]:
    """Fails if the body waits for anything that takes longer than two rounds of the loop."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task
    rounds = 0

    def count() -> None:
        nonlocal rounds, handle
        rounds += 1
        if rounds > 3:
            task.cancel()
        else:
            handle = loop.call_soon(count)

    handle = loop.call_soon(count)
    try:
        yield
    finally:
        handle.cancel()


async def _idle() -> None:
    """Until no fetch runs any more."""
    running = [task for task in asyncio.all_tasks() if task.get_name() == "issuer-keys"]
    if running:
        await asyncio.wait(running)
