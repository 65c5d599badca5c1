"""Conversations from elsewhere: every field, every kind of bad line, resumed, bounded."""

import json
import re
import socket
from pathlib import Path

import httpx
import pytest

from tests.service.conftest import Backend


def _lines(*lines: object) -> bytes:
    return "\n".join(json.dumps(line) for line in lines).encode()


def _import(backend: Backend, user: str, lines: bytes, name: str = "one") -> httpx.Response:
    return backend.client.post(
        f"/v1/users/{user}/import", params={"import_id": name}, content=lines
    )


def test_every_field_is_kept(backend: Backend) -> None:
    lines = _lines(
        {"role": "user", "content": "Hi.", "time": "2023-05-08T13:56:00", "session": "first"},
        {"role": "assistant", "content": "Hello.", "time": 1683554161.5, "session": "first"},
        {"author": "Caroline", "content": "Look! [shared a picture: a dog]", "time": 1.0},
    )
    done = _import(backend, "ida", lines).raise_for_status().json()
    assert done["messages"] == done["lines"] == 3
    sessions = {one["title"]: one for one in backend.sessions("ida")}
    assert set(sessions) == {"first", "Look! [shared a picture: a dog]"}
    assert sessions["first"]["created"] == "2023-05-08T13:56:00Z"
    url = "/v1/users/ida/sessions/{}/messages"
    first = backend.client.get(url.format(sessions["first"]["session_id"])).json()["messages"]
    assert [(one["role"], one["time"]) for one in first] == [
        ("user", "2023-05-08T13:56:00Z"),
        ("assistant", "2023-05-08T13:56:01.500000Z"),
    ]
    sessions.pop("first")
    second = backend.client.get(url.format(sessions.popitem()[1]["session_id"])).json()["messages"]
    assert second[0]["author"] == "Caroline"
    backend.say("ida", "Who shared a picture of a dog?").raise_for_status()
    assert 'Caroline: "Look! [shared a picture: a dog]"' in str(backend.model.requests[-1].messages)


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"[1, 2]",
        b'{"content": "no speaker"}',
        b'{"role": "user"}',
        b'{"role": "system", "content": "x"}',
        b'{"role": "user", "content": "  "}',
        b'{"role": "user", "content": "a\\u0000b"}',
        b'{"role": "user", "content": 5}',
        b'{"role": "user", "content": "x", "time": "yesterday"}',
        b'{"role": "user", "content": "x", "time": 1e300}',
        b'{"role": "user", "content": "x", "colour": "blue"}',
        b'{"role": "user", "content": "\xff\xfe"}',
        b'{"role": "user", "content": "' + b"x" * (1 << 20) + b'"}',
    ],
)
def test_a_bad_line_is_named_and_those_before_it_are_kept(backend: Backend, line: bytes) -> None:
    user = f"bad-{hash(line)}"
    good = _lines({"role": "user", "content": "One."}, {"role": "user", "content": "Two."})
    response = _import(backend, user, good + b"\n" + line + b"\n" + good)
    assert response.status_code == 422
    detail = response.json()["detail"]
    assert "2 lines are stored" in detail
    assert "import_id='one'" in detail
    assert len(line) > 1 << 20 or "Line 3" in detail
    assert backend.transcript(user) == ["One.", "Two."]
    mended = _import(backend, user, good + b"\n" + good).raise_for_status().json()
    assert (mended["resumed_after"], mended["messages"]) == (2, 2)
    assert backend.transcript(user) == ["One.", "Two.", "One.", "Two."]


def test_the_same_import_is_stored_once(backend: Backend) -> None:
    lines = _lines(*({"role": "user", "content": f"Line {n}."} for n in range(5)))
    assert _import(backend, "once", lines).json()["messages"] == 5
    again = _import(backend, "once", lines).raise_for_status().json()
    assert (again["resumed_after"], again["messages"]) == (5, 0)
    assert len(backend.transcript("once")) == 5
    assert _import(backend, "once", lines, "two").json()["messages"] == 5


def test_an_import_without_a_name_gets_one_and_can_be_gone_on_with(backend: Backend) -> None:
    url, good = "/v1/users/nameless/import", _lines({"role": "user", "content": "One."})
    response = backend.client.post(url, content=good + b"\nnonsense")
    name = re.search(r"import_id='(import-\w+)'", response.json()["detail"])
    assert name
    mended = _import(backend, "nameless", good + b"\n" + good, name[1]).json()
    assert (mended["import_id"], mended["messages"]) == (name[1], 1)
    assert backend.client.post(url, content=good).json()["import_id"] != name[1]
    assert len(backend.transcript("nameless")) == 3


def test_an_import_that_was_cut_off_goes_on(backend: Backend) -> None:
    lines = _lines(*({"role": "user", "content": f"Line {n}."} for n in range(1000)))
    address = httpx.URL(backend.service.url)
    with socket.create_connection((address.host, address.port or 80)) as cut:
        head = f"Host: localhost\r\nContent-Length: {len(lines)}\r\n\r\n"
        line = "POST /v1/users/cut/import?import_id=one HTTP/1.1\r\n"
        cut.sendall(line.encode() + head.encode() + lines[: len(lines) * 2 // 3])
    done = {"resumed_after": 0}
    for _ in range(50):
        response = _import(backend, "cut", lines)
        if response.is_success:
            done = response.json()
            break
        assert response.status_code == 409
    (session,) = backend.sessions("cut")
    assert session["messages"] == 1000
    assert done["lines"] == 1000


def test_ten_thousand_messages_are_imported_in_bounded_memory(backend: Backend) -> None:
    status = Path(f"/proc/{backend.service.process.pid}/status")

    def resident_mb() -> float:
        found = re.search(r"VmRSS:\s+(\d+) kB", status.read_text())
        assert found
        return int(found[1]) / 1024

    before = resident_mb()
    filler = "and so it went on and on for the whole afternoon " * 20
    lines = (
        json.dumps({"role": "user", "content": f"Day {n}: {filler}", "time": 1000.0 + n}) + "\n"
        for n in range(10_000)
    )
    needle = _lines(
        {"role": "user", "content": "The spare key hangs behind the clock.", "time": 1.0}
    )
    sent = (chunk.encode() for chunk in lines)
    response = backend.client.post(
        "/v1/users/big/import", params={"import_id": "big"}, content=sent, timeout=120
    )
    assert response.raise_for_status().json()["messages"] == 10_000
    assert resident_mb() - before < 60
    _import(backend, "big", needle, "needle").raise_for_status()
    backend.say("big", "Where does the spare key hang?", profile="vector").raise_for_status()
    assert "behind the clock" in backend.model.requests[-1].messages[-1][1]


def _contents(backend: Backend, user: str, session_id: str) -> list[str]:
    url = f"/v1/users/{user}/sessions/{session_id}/messages"
    return [one["content"] for one in backend.client.get(url).json()["messages"]]


def test_new_lines_under_the_same_name_are_added(backend: Backend) -> None:
    first = _lines({"role": "user", "content": "One."}, {"role": "assistant", "content": "1."})
    second = _lines({"role": "user", "content": "Two."}, {"role": "assistant", "content": "2."})
    done = _import(backend, "lou", first).raise_for_status().json()
    (session,) = done["sessions"]
    assert [one["status"] for one in done["by_label"]] == ["created"]
    added = _import(backend, "lou", second).raise_for_status().json()
    assert (added["resumed_after"], added["messages"], added["lines"]) == (0, 2, 2)
    assert added["by_label"] == [
        {"label": "", "session_id": session, "status": "continued", "messages": 2}
    ]
    for sent in (first, second):  # both are known now
        again = _import(backend, "lou", sent).raise_for_status().json()
        assert (again["resumed_after"], again["messages"]) == (2, 0)
    longer = second + b"\n" + _lines({"role": "user", "content": "Three."})
    assert _import(backend, "lou", longer).raise_for_status().json()["messages"] == 1
    assert _contents(backend, "lou", session) == ["One.", "1.", "Two.", "2.", "Three."]


def test_lines_that_differ_from_stored_ones_are_refused_aloud(backend: Backend) -> None:
    first = _lines({"role": "user", "content": "One."}, {"role": "assistant", "content": "1."})
    _import(backend, "max", first).raise_for_status()
    changed = _lines({"role": "user", "content": "One."}, {"role": "assistant", "content": "uno"})
    refused = _import(backend, "max", changed)
    assert (refused.status_code, refused.json()["code"]) == (409, "import_conflict")
    assert "Line 2" in refused.json()["detail"]
    _import(backend, "max", _lines({"role": "user", "content": "Two."})).raise_for_status()
    late = first + b"\n" + _lines({"role": "user", "content": "Late."})
    refused = _import(backend, "max", late)
    assert (refused.status_code, refused.json()["code"]) == (409, "import_conflict")
    assert "Line 3" in refused.json()["detail"]
    assert _import(backend, "max", changed, name="two").is_success


def test_an_upload_that_continues_an_import_resumes_too(backend: Backend) -> None:
    _import(backend, "ned", _lines({"role": "user", "content": "One."})).raise_for_status()
    good = _lines({"role": "user", "content": "Two."}, {"role": "user", "content": "Three."})
    refused = _import(backend, "ned", good + b"\nnot json")
    assert refused.status_code == 422
    assert "2 lines are stored" in refused.json()["detail"]
    mended = good + b"\n" + _lines({"role": "user", "content": "Four."})
    done = _import(backend, "ned", mended).raise_for_status().json()
    assert (done["resumed_after"], done["messages"]) == (2, 1)
    assert _contents(backend, "ned", done["sessions"][0]) == ["One.", "Two.", "Three.", "Four."]


def test_the_id_of_a_session_continues_it(backend: Backend) -> None:
    said = backend.say("oli", "Hello.").json()
    session = said["session_id"]
    lines = _lines(
        {"role": "user", "content": "From elsewhere.", "session": session, "metadata": {"n": 1}},
        {"role": "assistant", "content": "Welcome.", "session": session},
        {"role": "user", "content": "A label.", "session": "other"},
    )
    done = _import(backend, "oli", lines).raise_for_status().json()
    by_label = {one["label"]: one for one in done["by_label"]}
    assert by_label[session]["session_id"] == session
    assert (by_label[session]["status"], by_label[session]["messages"]) == ("continued", 2)
    assert by_label["other"]["status"] == "created"
    assert _contents(backend, "oli", session)[2:] == ["From elsewhere.", "Welcome."]
    url = f"/v1/users/oli/sessions/{session}/messages"
    assert backend.client.get(url).json()["messages"][2]["metadata"] == {"n": 1}
    foreign = _lines({"role": "user", "content": "Mine.", "session": session})
    theirs = _import(backend, "pat", foreign).raise_for_status().json()
    assert theirs["sessions"] != [session]  # the id belongs to another user
    backend.client.post(f"/v1/users/oli/sessions/{session}/close").raise_for_status()
    late = _lines({"role": "user", "content": "Late.", "session": session})
    closed = _import(backend, "oli", late, name="late")
    assert (closed.status_code, closed.json()["code"]) == (409, "session_closed")
