"""JSON Web Tokens: whose they are, who signed them, and that nothing else will do."""

import base64
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import RSAAlgorithm

from onionskin.memory.store.redis.embedded import EmbeddedRedis
from tests.services import running_service

_SECRET = "a secret of more than sixty-four bytes, " * 2


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _token(key: Any, algorithm: str, **claims: object) -> dict[str, str]:
    plain = {"sub": "alice", "exp": time.time() + 60, "aud": "onionskin", "iss": "us"}
    given = {name: value for name, value in (plain | claims).items() if value is not None}
    return _bearer(jwt.encode(given, key, algorithm, headers={"kid": "one"}))


def _with_tokens(private_redis: EmbeddedRedis, **settings: str) -> dict[str, str]:
    return {
        "ONIONSKIN_AUTH": "jwt",
        "ONIONSKIN_MODEL": "offline",
        "ONIONSKIN_REDIS_URL": private_redis.url,
        "ONIONSKIN_JWT_AUDIENCE": "onionskin",
        "ONIONSKIN_JWT_ISSUER": "us",
        **settings,
    }


def test_a_token_is_its_subject(tmp_path: Path, private_redis: EmbeddedRedis) -> None:
    settings = _with_tokens(private_redis, ONIONSKIN_JWT_SECRET=_SECRET)
    url, other = "/v1/users/alice/sessions", "/v1/users/bob/sessions"
    with running_service(tmp_path, **settings) as service, service.client() as client:
        assert client.get(url, headers=_token(_SECRET, "HS256")).status_code == 200
        assert client.get(other, headers=_token(_SECRET, "HS256")).status_code == 404
        admin = _token(_SECRET, "HS256", scope="email onionskin:admin")
        assert client.get(other, headers=admin).status_code == 200
        for wrong in (
            _token(_SECRET[::-1], "HS256"),
            _token(_SECRET, "HS256", exp=time.time() - 60),
            _token(_SECRET, "HS256", exp=None),
            _token(_SECRET, "HS256", aud="another"),
            _token(_SECRET, "HS256", iss="another"),
            _token(_SECRET, "HS256", sub=None),
            _token(_SECRET, "HS256", nbf=time.time() + 60),
            _token(_SECRET, "HS512"),
            _token(None, "none"),
            _bearer("no.token.atall"),
        ):
            assert client.get(url, headers=wrong).status_code == 401


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_public_key_verifies_and_is_no_secret(
    tmp_path: Path, private_redis: EmbeddedRedis, algorithm: str
) -> None:
    private = (
        rsa.generate_private_key(65537, 2048)
        if algorithm == "RS256"
        else ec.generate_private_key(ec.SECP256R1())
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (tmp_path / "key.pem").write_bytes(public)
    settings = _with_tokens(private_redis, ONIONSKIN_JWT_PUBLIC_KEY=str(tmp_path / "key.pem"))
    with running_service(tmp_path, **settings) as service, service.client() as client:
        url = "/v1/users/alice/sessions"
        assert client.get(url, headers=_token(private, algorithm)).status_code == 200
        assert client.get(url, headers=_token(_SECRET, "HS256")).status_code == 401
        assert client.get(url, headers=_signed_with(public)).status_code == 401


def _signed_with(public: bytes) -> dict[str, str]:
    """A token that takes the public key, which everybody knows, for a secret."""
    claims = {"sub": "alice", "exp": time.time() + 60, "aud": "onionskin", "iss": "us"}
    parts = [json.dumps(one).encode() for one in ({"alg": "HS256", "kid": "one"}, claims)]
    signed = b".".join(base64.urlsafe_b64encode(one).rstrip(b"=") for one in parts)
    signature = hmac.digest(public, signed, "sha256")
    return _bearer(f"{signed.decode()}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}")


def test_an_issuers_published_keys_are_fetched(
    tmp_path: Path, private_redis: EmbeddedRedis
) -> None:
    private, other = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    published = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True) | {"kid": "one"}
    fetched: list[str] = []

    class Issuer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fetched.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"keys": [published]}).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing."""

    issuer = ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    threading.Thread(target=issuer.serve_forever).start()
    address = f"http://127.0.0.1:{issuer.server_port}/keys"
    settings = _with_tokens(private_redis, ONIONSKIN_JWT_JWKS_URL=address)
    try:
        with running_service(tmp_path, **settings) as service, service.client() as client:
            url = "/v1/users/alice/sessions"
            for _ in range(3):
                assert client.get(url, headers=_token(private, "RS256")).status_code == 200
            assert client.get(url, headers=_token(other, "RS256")).status_code == 401
            strange = jwt.encode({"sub": "alice"}, private, "RS256", headers={"kid": "two"})
            assert client.get(url, headers=_bearer(strange)).status_code == 401
    finally:
        issuer.shutdown()
        issuer.server_close()
    assert len(fetched) == 1
