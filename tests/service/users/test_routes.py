"""Users over HTTP: listed, counted, exported, restored, erased on every worker."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from onionskin.memory.store.redis.embedded import EmbeddedRedis
from tests.conftest import plain_client
from tests.memory.store.test_deletion import traces
from tests.service.conftest import Backend
from tests.services import environment, run_command, running_service

_CANARY = "xylograph"


@pytest.fixture
def workers(private_redis: EmbeddedRedis, tmp_path: Path) -> Iterator[list[httpx.Client]]:
    with ExitStack() as stack:
        clients: list[httpx.Client] = []
        for number in range(2):
            settings = {"ONIONSKIN_REDIS_URL": private_redis.url, "ONIONSKIN_MODEL": "offline"}
            service = stack.enter_context(running_service(tmp_path / str(number), **settings))
            clients.append(stack.enter_context(service.client()))
        yield clients


def _say(client: httpx.Client, user: str, message: str, **more: object) -> httpx.Response:
    return client.post("/v1/chat", json={"user_id": user, "message": message, **more})


def _traces(redis: EmbeddedRedis, *texts: str) -> list[str]:
    async def look() -> list[str]:
        client = plain_client(redis.url)
        try:
            return await traces(client, *texts)
        finally:
            await client.aclose()

    return asyncio.run(look())


def _figures(client: httpx.Client, user: str) -> dict[str, Any]:
    return client.get(f"/v1/users/{user}/stats").raise_for_status().json()


def test_erased_is_erased_on_every_worker(
    workers: list[httpx.Client], private_redis: EmbeddedRedis
) -> None:
    one, two = workers
    for client in workers:
        _say(client, "zebedee", f"My {_CANARY} is in the cellar.").raise_for_status()
        memory = {"content": f"Has a {_CANARY}.", "pinned": True}
        client.post("/v1/users/zebedee/memories", json=memory).raise_for_status()
        answer = _say(client, "zebedee", f"Where is my {_CANARY}?").json()["reply"]
        assert "cellar" in answer
    figures = _figures(two, "zebedee")
    assert (figures["sessions"], figures["messages"], figures["memories"]) == (1, 8, 2)
    receipt = one.delete("/v1/users/zebedee").raise_for_status().json()
    assert (receipt["sessions"], receipt["messages"], receipt["memories"]) == (1, 8, 2)
    assert receipt["receipt_id"].startswith("e_")
    assert _traces(private_redis, "zebedee", _CANARY) == []
    for client in (two, one):
        said = _say(client, "zebedee", "What is in the cellar?").raise_for_status()
        assert _CANARY not in said.text
        assert client.get("/v1/users/zebedee/memories").json()["memories"] == []
    assert _traces(private_redis, _CANARY) == []
    two.delete("/v1/users/zebedee").raise_for_status()
    again = two.delete("/v1/users/zebedee").raise_for_status().json()
    counts = ("sessions", "messages", "memories", "vectors", "keys")
    assert [again[name] for name in counts] == [0] * 5
    assert again["receipt_id"] != receipt["receipt_id"]


def test_erasing_while_turns_are_under_way(
    workers: list[httpx.Client], private_redis: EmbeddedRedis
) -> None:
    statuses: list[int] = []
    received: list[str] = []

    def talk(talker: int) -> None:
        for turn in range(25):
            word = f"word{talker}x{turn}x"
            response = _say(workers[talker % 2], "zebedee", f"My {word} is red. What is red?")
            statuses.append(response.status_code)
            if response.is_success:
                received.append(word)

    talkers = [threading.Thread(target=talk, args=(number,)) for number in range(4)]
    for talker in talkers:
        talker.start()
    while len(received) < 20:
        talkers[0].join(0.01)
    before = list(received)
    receipt = workers[0].delete("/v1/users/zebedee").raise_for_status().json()
    for talker in talkers:
        talker.join(60)
    assert receipt["messages"] >= 2 * len(before)
    assert set(statuses) <= {200, 404}
    assert len(received) > len(before)
    assert _traces(private_redis, *(f"My {word} " for word in before)) == []


def test_an_export_moves_a_user(backend: Backend) -> None:
    for number in range(3):
        backend.say("mona", f"Number {number} is \u00fcber-important. \U0001f980")
    kept = backend.client.post("/v1/users/mona/memories", json={"content": "Likes figs."}).json()
    url = f"/v1/users/mona/memories/{kept['id']}"
    backend.client.patch(url, json={"pinned": True}).raise_for_status()
    export = backend.client.get("/v1/users/mona/export").raise_for_status()
    assert export.headers["content-type"].startswith("application/x-ndjson")
    kinds = [json.loads(line)["kind"] for line in export.text.splitlines()]
    assert kinds == [
        "onionskin-export",
        "session",
        *["message"] * 6,
        "memory",
        "step",
        "step",
        "end",
    ]
    for _ in range(2):
        done = backend.client.post(
            "/v1/users/lisa/import", params={"import_id": "moved"}, content=export.content
        )
        assert done.is_success
    assert backend.client.get("/v1/users/lisa/export").content == export.content
    asked = backend.say("lisa", "What is number 1?", profile="vector").json()
    assert "Number 1" in str(asked["memory"])
    conflict = backend.client.post("/v1/users/mona/import", content=export.content)
    assert (conflict.status_code, conflict.json()["code"]) == (409, "import_conflict")
    assert "Erase the user first" in conflict.json()["detail"]
    assert backend.client.get("/v1/users/mona/export").content == export.content


def test_of_an_unknown_user_there_is_nothing(backend: Backend) -> None:
    figures = _figures(backend.client, "nobody")
    assert (figures["sessions"], figures["size_bytes"], figures["last_activity"]) == (0, 0, None)
    export = backend.client.get("/v1/users/nobody/export")
    assert [json.loads(line)["kind"] for line in export.text.splitlines()] == [
        "onionskin-export",
        "end",
    ]
    assert backend.client.delete("/v1/users/nobody").json()["keys"] == 0


def test_users_are_listed_page_by_page(backend: Backend) -> None:
    for number in range(5):
        backend.say(f"paged {number}*", "Hello.").raise_for_status()
    found: list[str] = []
    cursor = "paged"
    while cursor:
        params = {"cursor": cursor, "limit": "2"}
        page = backend.client.get("/v1/users", params=params).raise_for_status().json()
        found += [one["user_id"] for one in page["users"]]
        cursor = page["next_cursor"]
    assert found[:5] == [f"paged {number}*" for number in range(5)]
    assert found == sorted(found)


def _bearer(data_dir: Path, *arguments: str) -> dict[str, str]:
    """The header with a new API key."""
    done = run_command(
        ["keys", "create", "--json", *arguments],
        environment=environment(ONIONSKIN_DATA_DIR=str(data_dir)),
        check=True,
    )
    return {"Authorization": f"Bearer {json.loads(done.stdout)['key']}"}


def test_only_an_admin_lists_and_only_their_tenant(tmp_path: Path) -> None:
    settings = {"ONIONSKIN_AUTH": "keys", "ONIONSKIN_MODEL": "offline"}
    with running_service(tmp_path, **settings) as service, service.client() as client:
        north, south = (_bearer(tmp_path, "--tenant", name) for name in ("north", "south"))
        mine = _bearer(tmp_path, "--tenant", "north", "--user", "nora")
        for user, key in (("nora", north), ("sven", south), ("nora", south)):
            body = {"user_id": user, "message": "Hello."}
            client.post("/v1/chat", json=body, headers=key).raise_for_status()
        listed = client.get("/v1/users", headers=north).json()["users"]
        assert listed == [{"user_id": "nora"}]
        refused = client.get("/v1/users", headers=mine)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        for method, path in (("GET", "/stats"), ("GET", "/export"), ("DELETE", "")):
            foreign = client.request(method, f"/v1/users/sven{path}", headers=mine)
            assert (foreign.status_code, foreign.json()["code"]) == (404, "unknown_user")
            assert client.request(method, f"/v1/users/sven{path}").status_code == 401
        assert client.get("/v1/users/nora/stats", headers=mine).json()["messages"] == 2
        assert client.delete("/v1/users/nora", headers=mine).json()["messages"] == 2
        other = client.get("/v1/users/nora/stats", headers=south).json()
        assert other["messages"] == 2
