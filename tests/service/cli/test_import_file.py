"""What other memories wrote down comes along."""

import json
import subprocess
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, messages_to_dict

from tests.service.conftest import Backend
from tests.services import environment, run_command


def _import(
    backend: Backend, user: str, file: Path, form: str, *more: str
) -> "subprocess.CompletedProcess[str]":
    return run_command(
        ["import", str(file), "--user", user, "--form", form, "--url", backend.service.url, *more],
        environment=environment(),
    )


def test_a_history_of_langchains_becomes_a_session(backend: Backend, tmp_path: Path) -> None:
    history = [
        SystemMessage("Be kind."),
        HumanMessage("I sold the boat."),
        AIMessage([{"type": "text", "text": "To whom?"}]),
    ]
    file = tmp_path / "history.json"
    file.write_text(json.dumps(messages_to_dict(history)))
    assert "2 messages stored in 1 session" in _import(backend, "moved", file, "langchain").stdout
    assert "0 messages" in _import(backend, "moved", file, "langchain").stdout
    report = json.loads(_import(backend, "moved4", file, "langchain", "--json").stdout)
    assert report["messages"] == 2
    assert backend.transcript("moved") == ["I sold the boat.", "To whom?"]


def test_parts_of_langchains_messages_are_read_as_everywhere(
    backend: Backend, tmp_path: Path
) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    parts = [{"type": "text", "text": "I live in Porto"}, {"type": "text", "text": "My dog barks"}]
    history = [
        HumanMessage(list[Any](parts)),
        AIMessage("<think>\nHm.\n</think>\n\nFine."),
        HumanMessage([image]),
        AIMessage("A cat."),
    ]
    file = tmp_path / "history.json"
    file.write_text(json.dumps(messages_to_dict(history)))
    assert "4 messages stored" in _import(backend, "parts", file, "langchain").stdout
    assert backend.transcript("parts") == [
        *("I live in Porto\nMy dog barks", "Fine.", "(see attachment)", "A cat.")
    ]


def test_memories_of_mem0_become_facts_once(backend: Backend, tmp_path: Path) -> None:
    file = tmp_path / "memories.json"
    found = [{"id": f"id-{number}", "memory": f"Likes tea {number}."} for number in range(130)]
    file.write_text(json.dumps({"results": [one | {"user_id": "x", "score": 1} for one in found]}))
    assert "130 memories stored, 0 were there" in _import(backend, "moved2", file, "mem0").stdout
    assert "0 memories stored, 130 were there" in _import(backend, "moved2", file, "mem0").stdout
    report = json.loads(_import(backend, "moved2", file, "mem0", "--json").stdout)
    assert report == {"memories": 0, "there_already": 130}
    stats = backend.client.get("/v1/users/moved2/memories/stats").json()
    assert stats["total"] == 130


def test_a_file_of_another_form_is_refused(backend: Backend, tmp_path: Path) -> None:
    file = tmp_path / "wrong.json"
    for form, text in (
        ("langchain", '{"a": 1}'),
        ("mem0", "[1]"),
        ("mem0", "\0"),
        ("langchain", ""),
    ):
        file.write_text(text)
        done = _import(backend, "moved3", file, form)
        assert done.returncode == 1
        assert "wrong.json" in done.stderr
    assert backend.sessions("moved3") == []
