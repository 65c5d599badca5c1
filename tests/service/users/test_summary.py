"""A summary of a user: extracted or written by the model, cached, bounded, erased."""

from pathlib import Path
from typing import Any

from tests.openai_server import OpenAIServer, Request
from tests.polling import until
from tests.service.conftest import Backend
from tests.services import running_service


def _summary(backend: Backend, user: str) -> dict[str, Any]:
    return backend.client.get(f"/v1/users/{user}/summary").raise_for_status().json()


def _written(backend: Backend, user: str) -> dict[str, Any]:
    """The summary once the model has written it."""
    until(lambda: _summary(backend, user)["source"] == "model")
    return _summary(backend, user)


def _describes(request: Request) -> bool:
    return "You describe a user" in str(request.messages)


def _reply(request: Request) -> str:
    return "Ann sails." if _describes(request) else "Noted."


def test_the_model_writes_it_once_and_again_after_a_change(
    backend: Backend, model: OpenAIServer
) -> None:
    model.reply = _reply
    assert _summary(backend, "ann")["text"] == ""
    assert not _summary(backend, "ann")["pending"]
    backend.say("ann", "My boat is called Ondine.").raise_for_status()
    memory = {"content": "Is allergic to nuts.", "importance": 0.9}
    made = backend.client.post("/v1/users/ann/memories", json=memory).json()
    first = _summary(backend, "ann")
    assert (first["source"], first["pending"]) == ("extract", True)
    assert "Ondine" in first["text"]
    assert "Is allergic to nuts." in first["text"]
    written = _written(backend, "ann")
    assert (written["text"], written["pending"]) == ("Ann sails.", False)
    assert (written["sessions"], written["memories"]) == (1, 1)
    (asked,) = [request for request in model.requests if _describes(request)]
    assert "Ondine" in str(asked.messages)
    assert "allergic" in str(asked.messages)
    _summary(backend, "ann")  # cached
    assert len([request for request in model.requests if _describes(request)]) == 1
    backend.client.delete(f"/v1/users/ann/memories/{made['id']}").raise_for_status()
    changed = _summary(backend, "ann")
    assert changed["source"] == "extract"
    assert "nuts" not in changed["text"]
    _written(backend, "ann")
    assert len([request for request in model.requests if _describes(request)]) == 2


def test_what_is_deleted_and_erased_is_not_in_it(backend: Backend, model: OpenAIServer) -> None:
    model.reply = _reply
    session = backend.say("bo", "My secret is a treasure.").json()["session_id"]
    _written(backend, "bo")
    backend.client.delete(f"/v1/users/bo/sessions/{session}").raise_for_status()
    assert _summary(backend, "bo")["text"] == ""
    backend.say("bo", "I like maps.").raise_for_status()
    _written(backend, "bo")
    backend.client.delete("/v1/users/bo").raise_for_status()
    erased = _summary(backend, "bo")
    assert (erased["text"], erased["sessions"]) == ("", 0)


def test_it_is_bounded(backend: Backend, model: OpenAIServer) -> None:
    model.reply = lambda request: "word " * 20_000 if _describes(request) else "Noted."
    for number in range(30):
        text = f"I own the unusual item {number} and tell a long story about it. " * 20
        backend.say("cy", text).raise_for_status()
    assert len(_summary(backend, "cy")["text"]) < 4000
    assert len(_written(backend, "cy")["text"]) < 4000


def test_without_a_model_it_is_an_extract(tmp_path: Path) -> None:
    with (
        running_service(tmp_path, ONIONSKIN_MODEL="offline") as service,
        service.client() as client,
    ):
        body = {"user_id": "ann", "message": "My dog is called Biscuit."}
        client.post("/v1/chat", json=body).raise_for_status()
        summary = client.get("/v1/users/ann/summary").json()
        assert (summary["source"], summary["pending"]) == ("extract", False)
        assert "Biscuit" in summary["text"]
