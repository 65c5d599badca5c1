"""One import for several users: who may, what is stored, and what happened for each."""

import json
from pathlib import Path
from typing import Any

import httpx

from tests.service.conftest import Backend
from tests.services import environment, run_command, running_service


def _lines(*lines: object) -> bytes:
    return "\n".join(json.dumps(line) for line in lines).encode()


def _import(backend: Backend, lines: bytes, name: str) -> httpx.Response:
    return backend.client.post("/v1/import", params={"import_id": name}, content=lines)


def _said(user: str, content: str, **more: Any) -> dict[str, Any]:
    return {"user": user, "role": "user", "content": content, **more}


def test_the_lines_of_each_user_are_stored_once_in_order(backend: Backend) -> None:
    lines = _lines(
        _said("ann", "Ann 1."), _said("bob", "Bob 1."), _said("ann", "Ann 2."), _said("bob", "B 2.")
    )
    done = _import(backend, lines, "one").raise_for_status().json()
    assert [(one["user_id"], one["done"]["messages"]) for one in done["users"]] == [
        ("ann", 2),
        ("bob", 2),
    ]
    assert backend.transcript("ann") == ["Ann 1.", "Ann 2."]
    again = _import(backend, lines, "one").raise_for_status().json()
    assert [one["done"]["messages"] for one in again["users"]] == [0, 0]
    longer = lines + b"\n" + _lines(_said("bob", "Bob 3."))
    done = _import(backend, longer, "one").raise_for_status().json()
    assert [one["done"]["messages"] for one in done["users"]] == [0, 1]
    assert backend.transcript("bob") == ["Bob 1.", "B 2.", "Bob 3."]


def test_an_error_of_one_user_does_not_stop_the_others(backend: Backend) -> None:
    lines = _lines(_said("cy", "Valid."), _said("di", "x", time="never"), _said("ed", "Valid."))
    done = {one["user_id"]: one for one in _import(backend, lines, "two").json()["users"]}
    assert done["cy"]["done"]["messages"] == done["ed"]["done"]["messages"] == 1
    assert done["di"]["done"] is None
    assert done["di"]["error"]["code"] == "invalid_input"


def test_a_line_without_a_user_stores_nothing(backend: Backend) -> None:
    for bad in ({"role": "user", "content": "x"}, [1], _said("a/b", "x"), _said("", "x")):
        answer = _import(backend, _lines(_said("fay", "Valid."), bad), "three")
        assert answer.status_code in {404, 422}, bad
    assert backend.sessions("fay") == []


def test_only_admins_may(tmp_path: Path) -> None:
    with running_service(tmp_path, ONIONSKIN_AUTH="keys", ONIONSKIN_MODEL="offline") as service:
        for more, status in (["--user", "ann"], 403), ([], 200):
            done = run_command(
                ["keys", "create", "--json", *more],
                environment=environment(ONIONSKIN_DATA_DIR=str(tmp_path)),
                check=True,
            )
            headers = {"Authorization": f"Bearer {json.loads(done.stdout)['key']}"}
            with service.client() as client:
                lines = _lines(_said("ann", "Hi."))
                answer = client.post("/v1/import", content=lines, headers=headers)
            assert answer.status_code == status
