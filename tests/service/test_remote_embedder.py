"""A remote embedder that is late, down or changed; recall then uses words only."""

import time
from pathlib import Path
from typing import Any

import httpx

from tests.openai_server import Fault, OpenAIServer
from tests.polling import until
from tests.services import running_service


def _say(client: httpx.Client, message: str) -> dict[str, Any]:
    body = {"user_id": "alice", "message": message, "profile": "vector"}
    return client.post("/v1/chat", json=body).raise_for_status().json()


def _embedded(model: OpenAIServer) -> list[str]:
    requests = [one for one in model.requests if one.path.endswith("embeddings")]
    return [text for one in requests for text in one.body["input"]]


def _parts(answer: dict[str, Any]) -> dict[str, float]:
    return answer["memory"][0]["recalled"][0]["parts"]


def test_a_remote_embedder_may_be_late_down_or_changed(tmp_path: Path, model: OpenAIServer) -> None:
    remote = {
        "ONIONSKIN_EMBEDDER": "openai",
        "ONIONSKIN_EMBEDDER_BASE_URL": model.base_url,
        "ONIONSKIN_EMBEDDER_TIMEOUT": "0.5",
    }
    with running_service(tmp_path, **remote) as service, service.client() as client:
        first = _say(client, "My bicycle is green.")
        assert first["degraded"] == []
        until(lambda: len(_embedded(model)) == 2)  # the message at once, its reply afterwards
        assert _embedded(model)[0] == "My bicycle is green."
        _say(client, "I had soup for lunch.")
        assert _parts(_say(client, "Which colour has my bicycle?")).get("meaning")

        model.fault = Fault(status=500, purpose="embeddings")
        answer = _say(client, "Is my bicycle red?")
        assert answer["degraded"] == ["embedder"]
        assert "My bicycle is green." in str(answer["memory"])
        model.fault = None
        until(lambda: "Is my bicycle red?" in _embedded(model))

    with running_service(tmp_path) as service, service.client() as client:
        answer = _say(client, "What about the bicycle?")
        assert "My bicycle is green." in str(answer["memory"])
        assert _parts(answer).get("meaning") is None  # two embedders' vectors are never mixed
        deadline = time.monotonic() + 15
        while _parts(_say(client, "And my bicycle?")).get("meaning") is None:
            assert time.monotonic() < deadline
