"""Sessions over HTTP: pages, closing, deleting."""

from tests.service.conftest import Backend


def test_sessions_are_paged_the_latest_first(backend: Backend) -> None:
    made: list[str] = []
    for number in range(7):
        made.append(backend.say("pia", f"Session {number}.").json()["session_id"])
        backend.client.post(f"/v1/users/pia/sessions/{made[-1]}/close").raise_for_status()
    seen: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": "3"} | ({"cursor": cursor} if cursor else {})
        page = backend.client.get("/v1/users/pia/sessions", params=params).json()
        seen += [session["session_id"] for session in page["sessions"]]
        assert len(page["sessions"]) <= 3
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == made[::-1]
    first = backend.client.get(f"/v1/users/pia/sessions/{made[0]}").json()
    assert first["title"] == "Session 0."
    assert first["closed"] is True
    assert first["messages"] == 2
    assert first["profile"] == "layered"


def test_messages_are_paged_the_oldest_first(backend: Backend) -> None:
    for number in range(4):
        backend.say("max", f"Line {number}.").raise_for_status()
    url = f"/v1/users/max/sessions/{backend.sessions('max')[0]['session_id']}/messages"
    page = backend.client.get(url, params={"limit": 3}).json()
    assert [one["position"] for one in page["messages"]] == [0, 1, 2]
    assert page["messages"][0]["content"] == "Line 0."
    assert page["messages"][0]["role"] == "user"
    assert page["messages"][0]["time"].endswith("Z")
    page = backend.client.get(url, params={"limit": 5, "cursor": page["next_cursor"]}).json()
    assert [one["position"] for one in page["messages"]] == [3, 4, 5, 6, 7]
    assert page["next_cursor"] is None


def test_a_deleted_session_is_gone_from_everything(backend: Backend) -> None:
    doomed = backend.say("dora", "The password is swordfish.").json()["session_id"]
    url = f"/v1/users/dora/sessions/{doomed}"
    backend.client.post(f"{url}/close").raise_for_status()
    kept = backend.say("dora", "Which password did I tell you?").json()
    assert "swordfish" in str(backend.model.requests[-1].messages)
    deleted = backend.client.delete(url).raise_for_status().json()
    assert deleted == {"session_id": doomed, "messages": 2}
    assert backend.client.get(url).status_code == 404
    assert backend.client.get(f"{url}/messages").status_code == 404
    assert [one["session_id"] for one in backend.sessions("dora")] == [kept["session_id"]]
    backend.client.delete(f"/v1/users/dora/sessions/{kept['session_id']}")
    answer = backend.say("dora", "Which password did I tell you?").json()
    assert "swordfish" not in str(answer)
    assert "swordfish" not in str(backend.model.requests[-1].messages)


def test_a_user_nobody_knows_has_no_sessions(backend: Backend) -> None:
    page = backend.client.get("/v1/users/nobody/sessions").raise_for_status().json()
    assert page == {"sessions": [], "next_cursor": None}
