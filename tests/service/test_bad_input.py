"""Bad input gets a problem that says what to do, and nothing is stored."""

import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.service.conftest import Backend


def _assert_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["code"] == code
    assert problem["type"] == f"urn:onionskin:error:{code}"
    assert problem["title"]
    assert problem["detail"]
    return problem


@pytest.mark.parametrize("message", ["", "   \n\t", "a NUL \0 within", "\ud800 alone", None, 5, []])
@pytest.mark.parametrize("stream", [False, True])
def test_a_message_that_says_nothing_usable_is_refused(
    backend: Backend, message: object, stream: bool
) -> None:
    body = json.dumps({"user_id": "bad", "message": message, "stream": stream})
    _assert_problem(backend.client.post("/v1/chat", content=body), 422, "invalid_input")
    assert backend.transcript("bad") == []


def test_a_message_of_a_megabyte_is_refused(backend: Backend) -> None:
    _assert_problem(backend.say("bad", "x" * 1_000_000), 413, "message_too_long")
    response = backend.say("bad", "x" * (1 << 20))
    assert response.status_code == 413
    assert backend.transcript("bad") == []


@pytest.mark.parametrize("body", [b"{", b"", b"\x00\xff\xfe", b'{"user_id": "a", "message": "b"'])
def test_what_is_no_json_is_refused(backend: Backend, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    response = backend.client.post("/v1/chat", content=body, headers=headers)
    assert response.status_code in {400, 422}
    assert response.headers["content-type"] == "application/problem+json"


def test_a_body_without_its_content_type_is_asked_to_name_it(backend: Backend) -> None:
    content = b'{"user_id": "a", "message": "b"}'
    problem = _assert_problem(
        backend.client.post("/v1/chat", content=content), 422, "invalid_input"
    )
    assert "Content-Type: application/json" in problem["detail"]


def test_an_unknown_field_is_named(backend: Backend) -> None:
    problem = _assert_problem(backend.say("bad", "hi", sesion_id="s"), 422, "invalid_input")
    assert problem["errors"][0]["where"] == "body.sesion_id"


def test_users_of_any_name_are_kept_apart(backend: Backend) -> None:
    names = ["a}", "{a", "a:b", "a%2Fb", "%7Ba", "a b", 'a"b', "😀", "a?b", "a#b", "a\\b", "ä"]
    for name in names:
        backend.say(name, f"I am {name!r}.").raise_for_status()
    for name in names:
        url = f"/v1/users/{quote(name, safe='')}/sessions"
        (session,) = backend.client.get(url).json()["sessions"]
        said = backend.client.get(f"{url}/{session['session_id']}/messages").json()["messages"]
        assert said[0]["content"] == f"I am {name!r}."
        assert len(said) == 2


@pytest.mark.parametrize("name", ["", "a/b", "tab\there", "nul\0", "x" * 257, ".", "..", 5, None])
def test_names_that_could_not_be_reached_are_refused(backend: Backend, name: object) -> None:
    body = {"user_id": name, "message": "hi"}
    _assert_problem(backend.client.post("/v1/chat", json=body), 422, "invalid_input")


def test_an_unknown_session_answers_404(backend: Backend) -> None:
    for session_id in ("s_0000000000000000", "nonsense", "{}", "s_1:*", "😀"):
        response = backend.say("bad", "hi", session_id=session_id)
        problem = _assert_problem(response, 404, "unknown_session")
        assert repr(session_id) in problem["detail"]


def test_another_users_session_is_unknown_and_unharmed(backend: Backend) -> None:
    session_id = backend.say("owner", "Mine alone.").json()["session_id"]
    _assert_problem(backend.say("thief", "hi", session_id=session_id), 404, "unknown_session")
    base = f"/v1/users/thief/sessions/{session_id}"
    for method, url in (
        ("GET", base),
        ("GET", f"{base}/messages"),
        ("POST", f"{base}/close"),
        ("DELETE", base),
    ):
        _assert_problem(backend.client.request(method, url), 404, "unknown_session")
    assert backend.transcript("owner")[0] == "Mine alone."
    assert backend.transcript("thief") == []


def test_an_unknown_profile_lists_the_known_ones(backend: Backend) -> None:
    problem = _assert_problem(backend.say("bad", "hi", profile="deep"), 422, "unknown_profile")
    for name in ("layered", "window", "summary", "facts", "vector", "none"):
        assert name in problem["detail"]


def test_a_closed_session_is_not_gone_on_with(backend: Backend) -> None:
    session_id = backend.say("closer", "hi").json()["session_id"]
    backend.client.post(f"/v1/users/closer/sessions/{session_id}/close").raise_for_status()
    _assert_problem(backend.say("closer", "hi", session_id=session_id), 409, "session_closed")


def test_unknown_paths_and_methods_are_problems_too(backend: Backend) -> None:
    _assert_problem(backend.client.get("/nowhere"), 404, "not_found")
    _assert_problem(backend.client.put("/v1/chat"), 405, "method_not_allowed")


@pytest.mark.parametrize("cursor", ["x", "-1", "1e5", "²", "9" * 40, "nan:x:y", "0x1"])
def test_a_cursor_that_was_never_given_is_refused(backend: Backend, cursor: str) -> None:
    session_id = backend.say("pager", "hi").json()["session_id"]
    url = f"/v1/users/pager/sessions/{session_id}/messages"
    _assert_problem(backend.client.get(url, params={"cursor": cursor}), 422, "invalid_input")
