"""After a change of embedder, all is embedded again, in the background and by the command."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from onionskin.memory.store.encryption.master_keys import generate_master_key
from onionskin.memory.store.redis.embedded import EmbeddedRedis
from onionskin.service.cli.exit_codes import ExitCode
from tests.conftest import repository
from tests.openai_server import Fault, OpenAIServer
from tests.polling import until
from tests.services import environment, run_command, running_service

_USERS, _TURNS = ("alice", "bo", "cleo"), 3


@pytest.fixture
def settings(private_redis: EmbeddedRedis) -> dict[str, str]:
    return {"ONIONSKIN_REDIS_URL": private_redis.url}


@pytest.fixture
def remote(settings: dict[str, str], model: OpenAIServer) -> dict[str, str]:
    """The same Redis, and an embedder over the network."""
    return {
        **settings,
        "ONIONSKIN_EMBEDDER": "openai",
        "ONIONSKIN_EMBEDDER_BASE_URL": model.base_url,
        "ONIONSKIN_BREAKER_FAILURES": "0",
    }


def _say(client: httpx.Client, user: str, message: str) -> dict[str, Any]:
    body = {"user_id": user, "message": message, "profile": "vector"}
    return client.post("/v1/chat", json=body).raise_for_status().json()


def _talk(tmp_path: Path, settings: dict[str, str]) -> None:
    with running_service(tmp_path, **settings) as service, service.client() as client:
        for user in _USERS:
            for number in range(_TURNS):
                _say(client, user, f"My boat number {number} is green, says {user}.")


def _reindex(**settings: str) -> subprocess.CompletedProcess[str]:
    return run_command(
        ["reindex", "--json"], environment=environment(**settings), folder=repository()
    )


def _embedded(model: OpenAIServer, since: int) -> list[str]:
    requests = [one for one in model.requests[since:] if one.path.endswith("embeddings")]
    return [text for one in requests for text in one.body["input"]]


def _meaning(answer: dict[str, Any]) -> float | None:
    return answer["memory"][0]["recalled"][0]["parts"].get("meaning")


def test_reindex_embeds_everything_once_and_goes_on_after_a_failure(
    settings: dict[str, str], remote: dict[str, str], model: OpenAIServer, tmp_path: Path
) -> None:
    _talk(tmp_path, settings)
    since = len(model.requests)
    fault = Fault(status=400, purpose="embeddings")
    model.faults.extend([Fault(purpose="embeddings"), fault])
    broken = _reindex(**remote)
    assert broken.returncode == ExitCode.AWAY
    error_text = " ".join(broken.stderr.split())
    assert "Traceback" not in error_text
    assert re.search(r"6 vectors of 1 users are stored; run it again", error_text)
    done = _reindex(**remote)
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert (outcome["users"], outcome["vectors"]) == (3, 12)
    embedded = _embedded(model, since)
    assert len(embedded) == 2 * _TURNS * len(_USERS) + 2 * _TURNS  # a batch failed
    assert json.loads(_reindex(**remote).stdout)["vectors"] == 0
    with running_service(tmp_path, **remote) as service, service.client() as client:
        assert _meaning(_say(client, "bo", "Which colour has my boat?"))


def test_a_service_with_a_new_embedder_embeds_all_users_in_the_background(
    settings: dict[str, str], remote: dict[str, str], model: OpenAIServer, tmp_path: Path
) -> None:
    _talk(tmp_path, settings)
    since = len(model.requests)
    with running_service(tmp_path, **remote):
        until(lambda: len(_embedded(model, since)) == 2 * _TURNS * len(_USERS))
    with running_service(tmp_path, **remote) as service, service.client() as client:
        assert _meaning(_say(client, "cleo", "Which colour has my boat?"))


def test_reindex_reads_what_is_encrypted_and_its_vectors_are_too(
    settings: dict[str, str], remote: dict[str, str], tmp_path: Path
) -> None:
    sealed = {"ONIONSKIN_ENCRYPTION_KEYS": generate_master_key("k1")}
    _talk(tmp_path, settings | sealed)
    assert _reindex(**remote).returncode == ExitCode.USAGE  # without the key nothing is touched
    done = _reindex(**remote, **sealed)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["vectors"] == 2 * _TURNS * len(_USERS)
    with running_service(tmp_path, **remote, **sealed) as service, service.client() as client:
        assert _meaning(_say(client, "bo", "Which colour has my boat?"))


def _lie(rows: list[list[float]]) -> Fault:
    data = [
        {"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)
    ]
    usage = {"prompt_tokens": 0, "total_tokens": 0}
    body = {"object": "list", "data": data, "model": "x", "usage": usage}
    return Fault(body=msgspec.json.encode(body), purpose="embeddings")


@pytest.mark.parametrize(
    "rows",
    [[[1.0] * 32], [[0.0] * 64], [[1e39] * 64 + [1.0]], [], [[1.0] * 64] * 2, [[]]],
    ids=["other dimensions", "zero", "one more", "none", "too many", "empty"],
)
def test_an_embedder_that_lies_degrades_the_turn_and_nothing_of_it_is_stored(
    remote: dict[str, str], model: OpenAIServer, tmp_path: Path, rows: list[list[float]]
) -> None:
    with running_service(tmp_path, **remote) as service, service.client() as client:
        assert _say(client, "alice", "My bicycle is green.")["degraded"] == []
        model.fault = _lie(rows)
        answer = _say(client, "alice", "Is my bicycle red?")
        assert answer["degraded"] == ["embedder"]
        assert "My bicycle is green." in str(answer["memory"])
        model.fault = Fault(status=400, purpose="embeddings")
        vectors = client.get("/v1/users/alice/stats").json()["vectors"]
        assert vectors <= 2  # of the first turn
        model.fault = None
        until(lambda: client.get("/v1/users/alice/stats").json()["vectors"] == 4)
        assert _meaning(_say(client, "alice", "Which colour has my bicycle?"))


def test_a_restarted_worker_knows_how_long_vectors_are(
    remote: dict[str, str], model: OpenAIServer, tmp_path: Path
) -> None:
    with running_service(tmp_path, **remote) as service, service.client() as client:
        assert _say(client, "alice", "My bicycle is green.")["degraded"] == []
    model.fault = _lie([[1.0] * 32])
    with running_service(tmp_path, **remote) as service, service.client() as client:
        assert _say(client, "alice", "Is my bicycle red?")["degraded"] == ["embedder"]
        assert client.get("/v1/users/alice/stats").json()["vectors"] <= 2
