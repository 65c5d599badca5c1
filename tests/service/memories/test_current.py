"""One meaning of current at every door: lists, searches, prompts, sessions, clients."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from onionskin.client import OnionskinClient, SyncOnionskinClient
from onionskin.memory.transfer.format import EXPORT_VERSION, EndLine, Header, MemoryLine, to_json
from onionskin.memory.types.records import Record
from tests.service.conftest import Backend

_OSLO, _ROME = "m_000000000000000a", "m_000000000000000b"


def _restore(backend: Backend, user: str, *records: Record) -> None:
    """Store records as they are, by the restoration of an export."""
    lines = [MemoryLine(record) for record in records]
    export = to_json(Header(EXPORT_VERSION), *lines, EndLine(len(lines) + 1))
    url = f"/v1/users/{user}/import"
    backend.client.post(url, content=export).raise_for_status()


def _record(memory_id: str, content: str, **fields: Any) -> Record:
    return Record(memory_id, content, "fact", "long", 1.0, 1.0, **fields)


def _move(backend: Backend, user: str) -> None:
    """Oslo, superseded by Rome."""
    oslo = _record(_OSLO, "Lives in Oslo.", superseded_by=_ROME, valid_to=2.0, importance=1.0)
    _restore(backend, user, oslo, _record(_ROME, "Has a flat in Rome.", valid_from=2.0))


def _contents(answer: httpx.Response) -> list[str]:
    return [one["content"] for one in answer.raise_for_status().json()["memories"]]


def _found(backend: Backend, user: str, query: str, **filters: object) -> list[dict[str, Any]]:
    body = {"query": query, **filters}
    answer = backend.client.post(f"/v1/users/{user}/memories/search", json=body)
    return [hit["memory"] for hit in answer.raise_for_status().json()["hits"]]


def _prompt(backend: Backend) -> str:
    return json.dumps(backend.model.requests[-1].body["messages"], ensure_ascii=False)


def test_a_superseded_fact_is_history_at_every_door(backend: Backend) -> None:
    _move(backend, "c1")
    url = "/v1/users/c1/memories"
    assert _contents(backend.client.get(url)) == ["Has a flat in Rome."]
    assert [one["id"] for one in _found(backend, "c1", "Lives in Oslo.")] == [_ROME]
    backend.say("c1", "Do I live in Oslo?")
    assert "Lives in Oslo." not in _prompt(backend)
    assert "Has a flat in Rome." in _prompt(backend)
    started = backend.client.post("/v1/users/c1/sessions", json={"message": "Is it Rome?"}).json()
    assert [hit["memory"]["id"] for hit in started["relevant"]] == [_ROME]
    with SyncOnionskinClient(backend.service.url) as client:
        assert [one.id for one in client.memories("c1").items] == [_ROME]
        assert [hit.memory.id for hit in client.search_memories("c1", "Rome")] == [_ROME]
        both = client.memories("c1", include_superseded=True).items
        assert {one.id: one.status for one in both} == {_OSLO: "superseded", _ROME: "current"}


async def test_the_asynchronous_client_shows_the_same(backend: Backend) -> None:
    _move(backend, "c2")
    async with OnionskinClient(backend.service.url) as client:
        assert [one.id for one in (await client.memories("c2")).items] == [_ROME]
        hits = await client.search_memories("c2", "Oslo", include_superseded=True)
        assert [(hit.memory.id, hit.memory.status) for hit in hits] == [
            (_ROME, "current"),
            (_OSLO, "superseded"),
        ]


@pytest.mark.parametrize("top_k", [1, 2, 10])
def test_history_never_comes_first_and_says_what_replaced_it(backend: Backend, top_k: int) -> None:
    user = f"c3-{top_k}"
    _move(backend, user)
    found = _found(backend, user, "Lives in Oslo.", include_superseded=True, top_k=top_k)
    assert found[0]["id"] == _ROME
    for outdated in found[1:]:
        assert (outdated["status"], outdated["superseded_by"]) == ("superseded", _ROME)
        assert outdated["valid_to"] == "1970-01-01T00:00:02Z"
    one = backend.client.get(f"/v1/users/{user}/memories/{_OSLO}").json()
    assert (one["status"], one["superseded_by"]) == ("superseded", _ROME)


def test_a_list_shows_what_was_true_at_a_time(backend: Backend) -> None:
    _move(backend, "c4")
    url = "/v1/users/c4/memories"
    before, after = "1970-01-01T00:00:01.5Z", "1970-01-01T02:00:02+02:00"
    assert _contents(backend.client.get(url, params={"as_of": before})) == ["Lives in Oslo."]
    assert _contents(backend.client.get(url, params={"as_of": after})) == ["Has a flat in Rome."]
    assert [one["id"] for one in _found(backend, "c4", "Oslo", as_of=before)] == [_OSLO]


@pytest.mark.parametrize(
    ("fields", "status", "option"),
    [
        ({"valid_to": 5.0}, "ended", "include_superseded"),
        ({"valid_from": 9e9}, "upcoming", "include_superseded"),
        ({"superseded_by": _ROME}, "superseded", "include_superseded"),
        ({"archived": True}, "archived", "include_archived"),
        ({"expires": 5.0}, "expired", None),
        ({"valid_to": 9e9}, "current", None),
        ({"valid_to": 5.0, "pinned": True}, "ended", "include_superseded"),
    ],
)
def test_every_reason_not_to_be_current_counts_everywhere(
    backend: Backend, fields: dict[str, Any], status: str, option: str | None
) -> None:
    user = f"c5-{time.monotonic_ns()}"
    preference = Record(_OSLO, "Speak Norwegian.", "preference", "long", 1.0, 1.0, **fields)
    _restore(backend, user, preference)
    home, is_current = f"/v1/users/{user}", status == "current"
    assert bool(_contents(backend.client.get(f"{home}/memories"))) is is_current
    assert bool(_found(backend, user, "Norwegian")) is is_current
    listed = backend.client.get(f"{home}/preferences").json()["preferences"]
    assert bool(listed) is is_current
    standing = backend.client.post(f"{home}/sessions", json={}).json()["standing"]
    assert bool(standing) is is_current
    backend.say(user, "Which language?")
    assert ("Speak Norwegian." in _prompt(backend)) is is_current
    if option:
        assert _contents(backend.client.get(f"{home}/memories")) == []
        included = backend.client.get(f"{home}/memories", params={option: "true"}).json()
        assert [one["status"] for one in included["memories"]] == [status]
        (found,) = _found(backend, user, "Norwegian", **{option: True})
        assert found["status"] == status


def test_a_memory_that_is_written_again_is_current_again(backend: Backend) -> None:
    url = "/v1/users/c6"
    gone = _record(_OSLO, "Oslo.", topic="home", superseded_by=_ROME, valid_to=2.0, archived=True)
    said = backend.say("c6", "I live in Rome.").json()
    _restore(backend, "c6", Record(**{**_fields(gone), "source": said["turn_id"]}))
    body = {"content": "Moved back to Oslo.", "topic": "home"}
    again = backend.client.post(f"{url}/memories", json=body).raise_for_status().json()
    assert (again["id"], again["status"]) == (_OSLO, "current")
    assert (again["valid_to"], again["superseded_by"], again["source"]) == (None, None, None)
    backend.client.delete(f"{url}/sessions/{said['session_id']}").raise_for_status()
    assert _contents(backend.client.get(f"{url}/memories")) == ["Moved back to Oslo."]
    ended = backend.client.patch(
        f"{url}/memories/{_OSLO}", json={"valid_to": "2020-01-01T00:00:00Z"}
    )
    assert ended.json()["status"] == "ended"


def test_a_validity_set_by_hand_overrules_a_contradiction(backend: Backend) -> None:
    _move(backend, "c7")
    url = f"/v1/users/c7/memories/{_OSLO}"
    changed = backend.client.patch(url, json={"valid_to": None}).json()
    assert (changed["status"], changed["superseded_by"]) == ("current", None)


def _fields(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__slots__}


def test_deleting_a_session_deletes_what_was_drawn_from_it_alone(backend: Backend) -> None:
    one = backend.say("d1", "My dog is called Rex.").json()
    backend.client.post(f"/v1/users/d1/sessions/{one['session_id']}/close")
    two = backend.say("d1", "Rex is hungry, and I live in Porto.").json()
    sources = {"source": one["turn_id"]}
    _restore(
        backend,
        "d1",
        _record("m_0000000000000001", "Has a dog called Rex.", **sources),
        _record("m_0000000000000002", "Rex is a dog.", **sources, confirmed=(two["turn_id"],)),
        _record("m_0000000000000003", "Lives in Porto.", source=two["turn_id"]),
    )
    url = "/v1/users/d1"
    backend.client.delete(f"{url}/sessions/{one['session_id']}").raise_for_status()
    left = backend.client.get(f"{url}/memories").json()["memories"]
    assert {memory["content"]: memory["source"] for memory in left} == {
        "Rex is a dog.": two["turn_id"],
        "Lives in Porto.": two["turn_id"],
    }
    backend.say("d1", "What is my dog called?")
    assert "Has a dog called Rex." not in _prompt(backend)
    restored = backend.client.post(f"{url}/memories/m_0000000000000001/restore")
    assert restored.status_code == 404


def test_a_copy_of_a_session_states_its_facts_too(backend: Backend) -> None:
    url = "/v1/users/d2"
    first = backend.say("d2", "My dog is called Rex.").json()
    second = backend.say("d2", "I live in Porto.").json()
    session = f"{url}/sessions/{first['session_id']}"
    _restore(
        backend,
        "d2",
        _record("m_0000000000000001", "Has a dog called Rex.", source=first["turn_id"]),
        _record("m_0000000000000002", "Lives in Porto.", source=second["turn_id"]),
    )
    copy = backend.client.post(f"{session}/fork", json={"messages": 2}).json()["session_id"]
    backend.client.delete(session).raise_for_status()
    (left,) = backend.client.get(f"{url}/memories").json()["memories"]
    assert (left["content"], left["source"]) == ("Has a dog called Rex.", f"{copy}.0")
    backend.client.delete(f"{url}/sessions/{copy}").raise_for_status()
    assert _contents(backend.client.get(f"{url}/memories")) == []


def test_a_source_has_to_be_a_turn_of_the_user(backend: Backend) -> None:
    url = "/v1/users/s1/memories"
    turn = backend.say("s1", "I live in Porto.").json()
    other = backend.say("s2", "I live in Rome.").json()
    session, _, position = turn["turn_id"].partition(".")
    for wrong in (
        "s_0123456789abcdef.0",
        f"{session}.{int(position) + 1}",  # the answer
        f"{session}.{int(position) + 2}",
        other["turn_id"],
    ):
        body = {"content": "Lives in Porto.", "source": wrong}
        refused = backend.client.post(url, json=body)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_input")
        assert wrong in refused.json()["detail"]
        batch = {"memories": [{"content": "fine"}, body]}
        assert backend.client.post(f"{url}/batch", json=batch).status_code == 422
    assert _contents(backend.client.get(url)) == []
    kept = backend.client.post(url, json={"content": "Porto.", "source": turn["turn_id"]})
    assert kept.json()["source"] == turn["turn_id"]
    _restore(backend, "s1", _record(_OSLO, "Oslo.", source="s_0123456789abcdef.0"))
    why = backend.client.get(f"{url}/{_OSLO}/why").json()
    assert why["memory"]["source"] == "s_0123456789abcdef.0"
    assert [(one["turn_id"], one["said"]) for one in why["turns"]] == [
        ("s_0123456789abcdef.0", None)
    ]


def test_metadata_is_merged_and_null_removes_a_key(backend: Backend) -> None:
    made = backend.client.post(
        "/v1/users/p1/memories",
        json={"content": "x", "metadata": {"a": 1, "b": {"c": 2, "d": 3}, "e": [1, 2]}},
    ).json()
    session = backend.client.post(
        "/v1/users/p1/sessions",
        json={"title": "t", "metadata": {"a": 1, "b": {"c": 2, "d": 3}, "e": [1, 2]}},
    ).json()["session"]
    patch = {"metadata": {"a": None, "b": {"d": None, "f": 4}, "e": [3], "g": {"h": None}}}
    merged = {"b": {"c": 2, "f": 4}, "e": [3], "g": {}}
    for url in (
        f"/v1/users/p1/memories/{made['id']}",
        f"/v1/users/p1/sessions/{session['session_id']}",
    ):
        assert backend.client.patch(url, json=patch).json()["metadata"] == merged
        assert backend.client.patch(url, json={"metadata": {}}).json()["metadata"] == merged
        assert backend.client.get(url).json()["metadata"] == merged


def _at_once(backend: Backend, send: Callable[[httpx.AsyncClient, int], Any]) -> Counter[int]:
    async def run() -> Counter[int]:
        async with httpx.AsyncClient(base_url=backend.service.url, timeout=30) as client:
            answers = await asyncio.gather(*(send(client, number) for number in range(12)))
            return Counter(answer.status_code for answer in answers)

    return asyncio.run(run())


def test_changes_at_the_same_time_are_all_made(backend: Backend) -> None:
    made = backend.client.post("/v1/users/p2/memories", json={"content": "x"}).json()
    session = backend.client.post("/v1/users/p2/sessions", json={}).json()["session"]
    every_key = {f"k{number}": number for number in range(12)}
    for url in (
        f"/v1/users/p2/memories/{made['id']}",
        f"/v1/users/p2/sessions/{session['session_id']}",
    ):
        answers = _at_once(
            backend,
            lambda client, n, url=url: client.patch(url, json={"metadata": {f"k{n}": n}}),
        )
        assert answers == {200: 12}
        assert backend.client.get(url).json()["metadata"] == every_key
    answers = _at_once(
        backend,
        lambda client, n: client.put("/v1/users/p2/preferences/diet", json={"content": f"c{n}"}),
    )
    assert answers == {200: 12}
    assert len(backend.client.get("/v1/users/p2/preferences").json()["preferences"]) == 1


def test_a_change_with_a_condition_is_refused_once_another_was_made(backend: Backend) -> None:
    backend.client.post("/v1/users/p3/memories", json={"content": "x", "pinned": True})
    (made,) = backend.client.get("/v1/users/p3/memories").json()["memories"]
    url = f"/v1/users/p3/memories/{made['id']}"
    version = backend.client.get(url).headers["ETag"]
    backend.say("p3", "Hello?")  # it is shown, which is no change
    changed = backend.client.patch(url, json={"importance": 0.9}, headers={"If-Match": version})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != version
    refused = backend.client.patch(url, json={"content": "y"}, headers={"If-Match": version})
    assert (refused.status_code, refused.json()["code"]) == (412, "precondition_failed")
    assert backend.client.get(url).json()["content"] == "x"
    anyway = backend.client.patch(url, json={"content": "y"}, headers={"If-Match": "*"})
    assert anyway.json()["content"] == "y"
