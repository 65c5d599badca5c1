"""Preferences: what a list shows is what prompts show; a category may have several."""

import json
from typing import Any

from tests.service.conftest import Backend


def _preferences(backend: Backend, user: str) -> list[dict[str, Any]]:
    answer = backend.client.get(f"/v1/users/{user}/preferences")
    return answer.raise_for_status().json()["preferences"]


def _prompt(backend: Backend, user: str) -> str:
    backend.say(user, "How far is the moon?")
    return json.dumps(backend.model.requests[-1].body["messages"], ensure_ascii=False)


def test_every_preference_of_a_prompt_is_listed(backend: Backend) -> None:
    home = "/v1/users/f1"
    backend.client.put(f"{home}/preferences/tone", json={"content": "Answer in rhyme."})
    for body in (
        {"content": "Likes jazz.", "kind": "preference"},
        {"content": "Never wants raisins.", "kind": "preference", "topic": "food"},
        {"content": "Reads the news.", "kind": "fact"},
    ):
        backend.client.post(f"{home}/memories", json=body).raise_for_status()
    listed = [(one["category"], one["content"]) for one in _preferences(backend, "f1")]
    assert listed == [
        ("food", "Never wants raisins."),
        ("tone", "Answer in rhyme."),
        (None, "Likes jazz."),
    ]
    prompt = _prompt(backend, "f1")
    assert all(content in prompt for _, content in listed)
    food = backend.client.get(f"{home}/preferences/food").json()
    assert food["content"] == "Never wants raisins."
    assert backend.client.delete(f"{home}/preferences/food").json()["id"] == food["id"]
    assert len(_preferences(backend, "f1")) == 2


def test_a_category_keeps_what_is_added_to_it(backend: Backend) -> None:
    url = "/v1/users/f2/preferences"
    backend.client.put(f"{url}/food", json={"content": "Vegetarian."}).raise_for_status()
    for content in ("Loves olives.", "Hates coriander."):
        added = backend.client.post(url, json={"category": "food", "content": content})
        assert (added.status_code, added.json()["category"]) == (201, "food")
    backend.client.put(f"{url}/food", json={"content": "Vegan."}).raise_for_status()
    contents = {one["content"] for one in _preferences(backend, "f2")}
    assert contents == {"Vegan.", "Loves olives.", "Hates coriander."}
    prompt = _prompt(backend, "f2")
    assert all(content in prompt for content in contents)
    assert backend.client.get(f"{url}/food").json()["content"] == "Vegan."
    for _ in contents:
        assert backend.client.delete(f"{url}/food").status_code == 200
    assert backend.client.delete(f"{url}/food").status_code == 404


def test_preferences_and_rules_are_never_archived_as_stale(backend: Backend) -> None:
    home = "/v1/users/f3"
    backend.client.put(f"{home}/preferences/tone", json={"content": "Answer in rhyme."})
    for kind in ("preference", "rule", "fact"):
        body = {"content": f"A {kind}.", "kind": kind, "importance": 0.0}
        backend.client.post(f"{home}/memories", json=body).raise_for_status()
    thresholds = {"importance_below": 1.0, "accesses_below": 1000, "older_than_days": 0}
    archived = backend.client.post(f"{home}/memories/archive", json=thresholds).json()["ids"]
    left = backend.client.get(f"{home}/memories").json()["memories"]
    assert {one["content"] for one in left} == {"Answer in rhyme.", "A preference.", "A rule."}
    assert len(archived) == 1
    tone = backend.client.get(f"{home}/preferences/tone").json()
    by_hand = backend.client.patch(f"{home}/memories/{tone['id']}", json={"archived": True})
    assert by_hand.json()["status"] == "archived"
    assert "Answer in rhyme." not in _prompt(backend, "f3")
    again = backend.client.put(f"{home}/preferences/tone", json={"content": "Answer in prose."})
    assert again.json()["id"] == tone["id"]
    assert "Answer in prose." in _prompt(backend, "f3")


def test_a_preference_can_be_pinned_and_stays_so(backend: Backend) -> None:
    url = "/v1/users/f4/preferences"
    pinned = backend.client.put(f"{url}/tone", json={"content": "Brief.", "pinned": True}).json()
    assert pinned["pinned"] is True
    assert backend.client.get(f"/v1/users/f4/memories/{pinned['id']}").json()["pinned"] is True
    again = backend.client.put(f"{url}/tone", json={"content": "Very brief."}).json()
    assert (again["id"], again["pinned"]) == (pinned["id"], True)
    loose = backend.client.put(f"{url}/tone", json={"content": "Brief.", "pinned": False}).json()
    assert loose["pinned"] is False
    memory = f"/v1/users/f4/memories/{pinned['id']}"
    backend.client.patch(memory, json={"pinned": True}).raise_for_status()
    assert _preferences(backend, "f4")[0]["pinned"] is True
