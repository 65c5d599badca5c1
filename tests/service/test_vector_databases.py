"""The service with a vector database behind the vector layer: filled after the answer, erased."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from qdrant_client import QdrantClient

from tests.conftest import eventually
from tests.services import running_service

_ASKED = "What is my dog called?"


def _turn(client: httpx.Client, message: str, **more: object) -> dict[str, Any]:
    turn = {"user_id": "ann", "message": message, "profile": "vector", **more}
    return client.post("/v1/chat", json=turn).raise_for_status().json()


def _say(client: httpx.Client, message: str) -> str:
    return _turn(client, message)["reply"]


def _shown(client: httpx.Client) -> str:
    """What a model would be shown; nothing is stored, so that nothing is said over and over."""
    asked = {"message": _ASKED, "profile": "vector"}
    return client.post("/v1/users/ann/context", json=asked).raise_for_status().json()["text"]


def _settings(kind: str, folder: Path) -> dict[str, str]:
    return {
        "ONIONSKIN_MODEL": "offline",
        "ONIONSKIN_VECTOR_STORE": kind,
        "ONIONSKIN_VECTOR_STORE_URL": str(folder / "db"),
        "ONIONSKIN_IDLE_TIMEOUT": "0",  # each turn is a session of its own
        "ONIONSKIN_CARRY_SESSIONS": "0",
    }


@pytest.mark.parametrize("kind", ["qdrant", "chroma"])
async def test_it_is_filled_after_the_answer_and_erased(kind: str, tmp_path: Path) -> None:
    settings = _settings(kind, tmp_path)
    with running_service(tmp_path / "data", **settings) as service, service.client() as client:
        session = _turn(client, "My dog is called Biscuit.")["session_id"]
        await eventually(lambda: "Biscuit" in _shown(client), within=20)
        assert "Biscuit" not in _turn(client, _ASKED, apart_from=[session])["reply"]
    with running_service(tmp_path / "data", **settings) as service, service.client() as client:
        assert "Biscuit" in _say(client, _ASKED)
        client.delete("/v1/users/ann").raise_for_status()
        assert "Biscuit" not in _say(client, _ASKED)
    if kind == "qdrant":
        left: Any = QdrantClient(path=str(tmp_path / "db"))
        found = [left.count(one.name).count for one in left.get_collections().collections]
        left.close()
        assert sum(found) <= 2  # of what was asked after the erasure


@pytest.mark.parametrize("how", ["deleted", "past its time"])
async def test_a_session_that_goes_is_forgotten_there_too(how: str, tmp_path: Path) -> None:
    recording = tmp_path / "recording"
    settings = _settings("tests.service.recording_collections.RecordingCollections", tmp_path)
    settings |= {
        "ONIONSKIN_VECTOR_STORE_URL": str(recording),
        "ONIONSKIN_VECTOR_STORE_KEY": "secret",
    }
    if how != "deleted":
        settings["ONIONSKIN_RETAIN_SESSIONS"] = "2"
    with running_service(tmp_path / "data", **settings) as service, service.client() as client:
        turn = {"user_id": "ann", "message": "My dog is called Biscuit.", "profile": "vector"}
        session_id = client.post("/v1/chat", json=turn).raise_for_status().json()["session_id"]
        await eventually(
            lambda: recording.exists() and len(recording.read_text().splitlines()) == 1
        )
        if how == "deleted":
            client.delete(f"/v1/users/ann/sessions/{session_id}").raise_for_status()
        await eventually(lambda: len(recording.read_text().splitlines()) == 2, within=20)
