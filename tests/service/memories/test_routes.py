"""Memories over HTTP: kept, found, changed, undone; and what a prompt shows of them."""

import json
from typing import Any

import pytest

from tests.polling import until
from tests.service.conftest import Backend


def _keep(backend: Backend, user: str, content: str, **more: object) -> dict[str, Any]:
    answer = backend.client.post(f"/v1/users/{user}/memories", json={"content": content, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


def _prompt(backend: Backend) -> str:
    return json.dumps(backend.model.requests[-1].body["messages"], ensure_ascii=False)


def test_what_is_kept_can_be_read_changed_and_deleted(backend: Backend) -> None:
    url = "/v1/users/m1/memories"
    kept = _keep(backend, "m1", "Plays the cello.", tags=["music"], metadata={"from": ["form", 1]})
    assert (kept["kind"], kept["term"]) == ("fact", "long")
    assert backend.client.get(f"{url}/{kept['id']}").json() == kept
    changed = backend.client.patch(f"{url}/{kept['id']}", json={"importance": 0.9}).json()
    assert (changed["importance"], changed["content"]) == (0.9, "Plays the cello.")
    assert changed["revision"] == 2
    assert backend.client.delete(f"{url}/{kept['id']}").json() == {"deleted": 1}
    assert backend.client.get(f"{url}/{kept['id']}").status_code == 404
    steps = backend.client.get(f"{url}/{kept['id']}/history").json()["steps"]
    assert [step["action"] for step in steps] == ["created", "updated", "deleted"]
    restored = backend.client.post(f"{url}/{kept['id']}/restore").json()
    assert (restored["importance"], restored["metadata"]) == (0.9, {"from": ["form", 1]})


def test_lists_are_filtered_and_paged(backend: Backend) -> None:
    url = "/v1/users/m2/memories"
    batch = [{"content": f"number {n}", "tags": ["even"] if n % 2 == 0 else []} for n in range(25)]
    answer = backend.client.post(f"{url}/batch", json={"memories": batch})
    assert len(answer.json()["memories"]) == 25
    archived = answer.json()["memories"][0]["id"]
    backend.client.patch(f"{url}/{archived}", json={"archived": True})
    seen: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": "10", "tag": "even"} | ({"cursor": cursor} if cursor else {})
        page = backend.client.get(url, params=params).json()
        seen += [one["content"] for one in page["memories"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(seen) == sorted(f"number {n}" for n in range(2, 25, 2))
    everything = backend.client.get(url, params={"include_archived": "true", "limit": 200}).json()
    assert len(everything["memories"]) == 25
    stats = backend.client.get(f"{url}/stats").json()
    assert (stats["total"], stats["archived"], stats["by_kind"]) == (25, 1, {"fact": 25})
    deleted = backend.client.post(f"{url}/delete", json={"filter": {"tags": ["even"]}}).json()
    assert deleted == {"deleted": 12}


def test_a_search_explains_its_hits(backend: Backend) -> None:
    _keep(backend, "m3", "Lives in Porto since May.", kind="fact")
    _keep(backend, "m3", "Never wants raisins.", kind="preference")
    url = "/v1/users/m3/memories/search"
    hits = backend.client.post(url, json={"query": "Which town does she live in?"}).json()["hits"]
    assert hits[0]["memory"]["content"] == "Lives in Porto since May."
    assert hits[0]["score"] == pytest.approx(sum(hits[0]["parts"].values()), abs=0.01)
    body = {"query": "town", "kinds": ["preference"]}
    only = backend.client.post(url, json=body).json()["hits"]
    assert "Lives in Porto since May." not in [hit["memory"]["content"] for hit in only]
    none = backend.client.post(url, json={"query": "town", "min_similarity": 0.99}).json()["hits"]
    assert none == []


def test_what_is_stale_is_archived_and_no_longer_shown(backend: Backend) -> None:
    backend.model.reply = lambda _: "I see."
    _keep(backend, "m4", "Once had a parrot.", importance=0.1)
    url = "/v1/users/m4/memories"
    backend.say("m4", "Did I have a parrot?")
    assert "parrot." in _prompt(backend)
    archived = backend.client.post(f"{url}/archive", json={"importance_below": 0.3}).json()
    assert len(archived["ids"]) == 1
    backend.say("m4", "What was that bird called?")
    assert "Once had a parrot." not in _prompt(backend)


def test_preferences_and_pins_are_in_every_prompt(backend: Backend) -> None:
    url = "/v1/users/m5/preferences"
    backend.model.reply = lambda _: "I see."
    put = backend.client.put(f"{url}/tone", json={"content": "Answer in one sentence."})
    assert put.json()["category"] == "tone"
    backend.client.put(f"{url}/tone", json={"content": "Answer in rhyme."})
    _keep(backend, "m5", "Is called Doctor Bo.", pinned=True, term="short")
    backend.say("m5", "How far is the moon?")
    assert "Answer in rhyme." in _prompt(backend)
    assert "Is called Doctor Bo." in _prompt(backend)
    assert "Answer in one sentence." not in _prompt(backend)
    listed = backend.client.get(url).json()["preferences"]
    assert [(one["category"], one["content"]) for one in listed] == [("tone", "Answer in rhyme.")]
    assert backend.client.delete(f"{url}/tone").status_code == 200
    assert backend.client.get(f"{url}/tone").status_code == 404
    backend.say("m5", "And the sun?")
    assert "Answer in rhyme." not in _prompt(backend)


def test_being_shown_counts_as_use_after_the_answer(backend: Backend) -> None:
    kept = _keep(backend, "m6", "The boat is called Albatross.", term="short", importance=0.66)
    for _ in range(5):
        answer = backend.say("m6", "What is the boat called?").json()
        shown = [one for layer in answer["memory"] for one in layer["records"]]
        assert shown == [kept["id"]]
    url = f"/v1/users/m6/memories/{kept['id']}"
    until(lambda: backend.client.get(url).json()["access_count"] == 5)
    now = backend.client.get(url).json()
    assert (now["term"], now["expires"], now["importance"]) == ("long", None, 0.76)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"content": ""},
        {"content": " \n"},
        {"content": "x" * 8193},
        {"content": "a\0b"},
        {"content": 1},
        {"content": "x", "kind": "wish"},
        {"content": "x", "importance": 1.1},
        {"content": "x", "importance": "NaN"},
        {"content": "x", "tags": ["t"] * 33},
        {"content": "x", "metadata": {"deep": [[[[[[[[1]]]]]]]]}},
        {"content": "x", "metadata": {"long": "x" * 5000}},
        {"content": "x", "metadata": {"large": 2**64}},
        {"content": "x", "expires": "2026-01-01T00:00:00"},
        {"content": "x", "source": "s_1"},
        {"content": "x", "unknown": 1},
    ],
)
def test_bad_memories_are_refused_and_nothing_is_kept(
    backend: Backend, body: dict[str, object]
) -> None:
    url = "/v1/users/m7/memories"
    for answer in (
        backend.client.post(url, json=body),
        backend.client.post(f"{url}/batch", json={"memories": [{"content": "fine"}, body]}),
    ):
        assert answer.status_code == 422, answer.text
        assert answer.json()["code"] == "invalid_input"
    assert backend.client.get(url).json()["memories"] == []


def test_another_users_memory_is_unknown(backend: Backend) -> None:
    kept = _keep(backend, "m8", "The code is 4711.")
    url = f"/v1/users/m9/memories/{kept['id']}"
    for answer in (
        backend.client.get(url),
        backend.client.patch(url, json={"content": "x"}),
        backend.client.delete(url),
        backend.client.get(f"{url}/history"),
        backend.client.post(f"{url}/restore"),
        backend.client.post(f"{url}/promote"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_memory")
    backend.say("m9", "What is the code?")
    assert "4711" not in _prompt(backend)
