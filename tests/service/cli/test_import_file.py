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


# As `Memory().get_all(filters={"user_id": "alice"})` of mem0 2.2.1 returned it, and with the
# further fields that its platform's `get_all` has.
_MEM0: dict[str, Any] = {
    "results": [
        {
            "id": "a6db31c4-07e3-4143-a85a-dac9646be798",
            "memory": "Lives in Porto.",
            "hash": "034e06d479ffe07ead64a69ee75d485b",
            "metadata": {"category": "home", "nested": {"a": [1, 2]}},
            "created_at": "2025-12-01T14:25:27.236562+00:00",
            "updated_at": "2025-12-02T16:25:27+02:00",
            "user_id": "alice",
            "role": "user",
        },
        {
            "id": "bbcf7a22-f016-4bb8-b90d-22162877ef9e",
            "memory": "On holiday.",
            "hash": "8f78f54c31a1a19d8d2886914dbf7467",
            "metadata": {"category": "travel"},
            "created_at": "2025-12-01T14:25:27",
            "updated_at": None,
            "user_id": "alice",
            "agent_id": "ag",
            "role": "user",
            "expiration_date": "2099-01-31",
        },
        {
            "id": "c",
            "memory": "Likes jazz.",
            "categories": ["music", "x" * 80],
            "immutable": True,
            "metadata": None,
            "created_at": "",
            "score": 0.9,
        },
        {"id": "d", "memory": "Was in Rome.", "expiration_date": "2024-02-29"},
    ]
}


def test_memories_of_mem0_keep_times_metadata_and_categories(
    backend: Backend, tmp_path: Path
) -> None:
    file = tmp_path / "memories.json"
    file.write_text(json.dumps(_MEM0))
    done = _import(backend, "moved5", file, "mem0")
    assert "3 memories stored, 0 were there already, 1 have expired" in done.stdout, done.stderr
    listed = backend.client.get("/v1/users/moved5/memories").json()["memories"]
    stored = {one["content"]: one for one in listed}
    porto, holiday, jazz = (
        stored[text] for text in ("Lives in Porto.", "On holiday.", "Likes jazz.")
    )
    assert porto["created"] == "2025-12-01T14:25:27.236562Z"
    assert porto["updated"] == "2025-12-02T14:25:27Z"
    assert porto["metadata"]["category"] == "home"
    assert porto["metadata"]["nested"] == {"a": [1, 2]}
    assert porto["metadata"]["mem0"] == {"role": "user"}
    assert (holiday["created"], holiday["updated"]) == ("2025-12-01T14:25:27Z",) * 2
    assert holiday["expires"] == "2099-02-01T00:00:00Z"
    assert holiday["metadata"]["mem0"] == {"agent_id": "ag", "role": "user"}
    assert jazz["tags"] == ["music"]
    assert jazz["metadata"] == {"mem0": {"immutable": True}, "mem0_id": "c"}
    backend.client.patch(
        f"/v1/users/moved5/memories/{porto['id']}", json={"valid_to": "2026-01-01T00:00:00Z"}
    ).raise_for_status()
    again = json.loads(_import(backend, "moved5", file, "mem0", "--json").stdout)
    assert again == {"memories": 0, "there_already": 3, "expired": 1}


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
