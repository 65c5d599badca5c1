"""Messages that an application appends: stored as a turn's, once, in order, all or none."""

import threading
from typing import Any

import httpx
import pytest

from tests.polling import until
from tests.service.conftest import Backend


@pytest.fixture(scope="module")
def settings_of_backend() -> dict[str, str]:
    return {"ONIONSKIN_REDACT": "stored"}


def _append(
    backend: Backend, user: str, session: str, *messages: dict[str, Any], **more: Any
) -> httpx.Response:
    headers = {"Idempotency-Key": more.pop("key")} if "key" in more else {}
    body = {"messages": list(messages), **more}
    url = f"/v1/users/{user}/sessions/{session}/messages"
    return backend.client.post(url, json=body, headers=headers)


def _said(content: str, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


def _answered(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def _stored(backend: Backend, user: str, session: str) -> list[dict[str, Any]]:
    return backend.client.get(f"/v1/users/{user}/sessions/{session}/messages").json()["messages"]


def test_a_turn_of_the_applications_own_model_is_stored_and_remembered(backend: Backend) -> None:
    answer = _append(
        backend,
        "ann",
        "latest",
        _said("My dog is called Biscuit.", metadata={"channel": "web"}, id="a-1"),
        _answered("A fine name.", metadata={"model": "own"}),
        profile="layered",
    )
    assert answer.status_code == 201, answer.text
    stored = answer.json()
    session = stored["session_id"]
    assert stored["new_session"]
    assert [one["position"] for one in stored["messages"]] == [0, 1]
    assert {one["turn_id"] for one in stored["messages"]} == {f"{session}.0"}
    assert [one["client_id"] for one in stored["messages"]] == ["a-1", None]
    said, replied = _stored(backend, "ann", session)
    assert (said["content"], said["metadata"]) == ("My dog is called Biscuit.", {"channel": "web"})
    assert (replied["profile"], replied["metadata"]) == ("layered", {"model": "own"})
    turn = backend.client.get(f"/v1/users/ann/turns/{session}.0").json()
    assert turn["said"]["content"] == "My dog is called Biscuit."
    more = _append(backend, "ann", "latest", _said("She sleeps a lot."), _answered("Nice."))
    assert more.json()["session_id"] == session
    assert more.json()["messages"][1]["turn_id"] == f"{session}.2"
    prompt = backend.client.post(
        "/v1/users/ann/context", json={"message": "What is my dog called?"}
    )
    assert "Biscuit" in prompt.json()["text"]
    hits = backend.client.post(
        "/v1/users/ann/search",
        json={"query": "dog", "metadata": {"channel": {"$in": ["web", "app"]}}},
    ).json()["hits"]
    assert [hit["message"]["content"] for hit in hits] == ["My dog is called Biscuit."]
    assert hits[0]["similarity"]
    reply = backend.say("ann", "What is my dog called?").json()
    assert reply["session_id"] == session
    assert "Biscuit" in str(backend.model.requests[-1].body)


def test_a_loop_is_appended_step_by_step_in_openais_form(backend: Backend) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "flights", "arguments": "{}"}}
    first = _append(backend, "bo", "new", _said("Find me a flight.", name="Bo")).json()
    session = first["session_id"]
    asked = {"tool_calls": [call], "refusal": None, "annotations": [], "audio": None}
    _append(backend, "bo", session, _answered(None, **asked)).raise_for_status()
    result = {"role": "tool", "tool_call_id": "c1", "content": "FLIGHT-ID-77"}
    last = _append(
        backend, "bo", session, result, _answered([{"type": "text", "text": "Flight 77."}])
    ).json()
    assert {one["turn_id"] for one in last["messages"]} == {f"{session}.0"}
    assert [one["position"] for one in last["messages"]] == [2, 2]
    stored = _stored(backend, "bo", session)
    assert [one["role"] for one in stored] == ["user", "assistant", "assistant"]
    assert stored[0]["author"] == "Bo"
    assert stored[1]["calls"] == [{"id": "c1", "name": "flights", "arguments": "{}"}]
    assert stored[2]["content"] == "Flight 77."
    assert stored[2]["results"][0]["content"] == "FLIGHT-ID-77"
    refusal = _append(backend, "bo", session, _said("No?"), _answered(None, refusal="I cannot."))
    refusal.raise_for_status()
    assert _stored(backend, "bo", session)[4]["refused"]


def test_a_result_without_an_answer_yet_is_kept(backend: Backend) -> None:
    call = {"id": "c1", "name": "look_up", "arguments": "{}"}
    done = _append(
        backend,
        "cy",
        "new",
        _said("Look it up."),
        _answered("", tool_calls=[call]),
        {"role": "tool", "tool_call_id": "c1", "content": "Found."},
    ).json()
    assert [one["position"] for one in done["messages"]] == [0, 1, 2]
    results = _stored(backend, "cy", done["session_id"])[2]["results"]
    assert results == [{"call_id": "c1", "name": "look_up", "content": "Found."}]
    more = _append(backend, "cy", done["session_id"], _answered("It is there.")).json()
    assert more["messages"][0]["turn_id"] == f"{done['session_id']}.0"


def test_a_request_and_each_message_are_stored_once(backend: Backend) -> None:
    first = _append(backend, "di", "new", _said("One."), _answered("Yes."), key="k1")
    again = _append(backend, "di", "new", _said("One."), _answered("Yes."), key="k1")
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json()
    session = first.json()["session_id"]
    _append(backend, "di", session, _said("Two.", id="2"), _answered("Ok.", id="3"))
    overlapping = _append(
        backend,
        "di",
        session,
        _said("Two.", id="2"),
        _answered("Ok.", id="3"),
        _said("Three.", id="4"),
    ).json()
    assert [one["status"] for one in overlapping["messages"]] == ["duplicate"] * 2 + ["stored"]
    assert [one["position"] for one in overlapping["messages"]] == [2, 3, 4]
    only = _append(backend, "di", session, _said("Three.", id="4")).json()
    assert (only["messages"][0]["status"], only["length"]) == ("duplicate", 5)
    assert len(_stored(backend, "di", session)) == 5
    # The same id in another session or of another user is another message.
    other = _append(backend, "di", "new", _said("Three.", id="4")).json()
    assert other["messages"][0]["status"] == "stored"


def test_requests_that_race_are_stored_whole_one_after_the_other(backend: Backend) -> None:
    session = _append(backend, "flo", "new", _said("Start."), _answered("Go.")).json()["session_id"]
    answers: list[httpx.Response] = []

    def append(number: int) -> None:
        pair = [_said(f"Q{number}", id=f"q{number}"), _answered(f"A{number}")]
        # The second is a retry.
        answers.extend(_append(backend, "flo", session, *pair) for _ in range(2))

    threads = [threading.Thread(target=append, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {201}
    texts = [one["content"] for one in _stored(backend, "flo", session)][2:]
    questions = [text for text in texts if text.startswith("Q")]
    assert sorted(questions) == [f"Q{number}" for number in range(8)]
    for question in questions:
        assert texts[texts.index(question) + 1] == question.replace("Q", "A")


def test_a_named_session_is_created_only_if_asked(backend: Backend) -> None:
    name = "s_00000000000000aa"
    missing = _append(backend, "gus", name, _said("Hello."))
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown_session")
    made = _append(backend, "gus", name, _said("Hello."), _answered("Hi."), create=True)
    assert (made.json()["session_id"], made.json()["new_session"]) == (name, True)
    again = _append(backend, "gus", name, _said("More."), create=True)
    assert (again.json()["new_session"], again.json()["length"]) == (False, 3)
    info = backend.client.get(f"/v1/users/gus/sessions/{name}").json()
    assert info["title"] == "Hello."
    backend.client.post(f"/v1/users/gus/sessions/{name}/close").raise_for_status()
    closed = _append(backend, "gus", name, _said("Late."))
    assert (closed.status_code, closed.json()["code"]) == (409, "session_closed")


def test_times_keep_their_offset_and_private_text_is_not_stored(backend: Backend) -> None:
    done = _append(
        backend,
        "hal",
        "new",
        _said(
            "Mail me at hal@example.com. <private>I am ill.</private>",
            time="2026-11-30T08:00:00+09:00",
            metadata={"to": "hal@example.com"},
        ),
        _answered(
            "You are ill? I am ill. Noted hal@example.com.", time="2026-11-30T08:01:00+09:00"
        ),
    ).json()
    said, replied = _stored(backend, "hal", done["session_id"])
    assert said["time"].startswith("2026-11-30T08:00:00+09:00")
    assert "hal@example.com" not in str((said, replied))
    assert "I am ill." not in str((said, replied))


def test_appended_messages_are_summarized_like_a_turns(backend: Backend) -> None:
    backend.model.reply = lambda _: "A summary of numbers."
    pairs = [
        message
        for number in range(45)
        for message in (_said(f"Number {number} " + "is a fine number. " * 12), _answered("Yes."))
    ]
    done = _append(backend, "ida", "new", *pairs).raise_for_status().json()

    def is_folded() -> bool:
        url = f"/v1/users/ida/sessions/{done['session_id']}"
        return backend.client.get(url).json()["folded_upto"] > 0

    until(is_folded)


def test_an_edit_replaces_what_follows_it(backend: Backend) -> None:
    first = [_said("Hello."), _answered("Hi.")]
    done = _append(backend, "kim", "new", *first, _said("My dog is Rex."), _answered("Ok.")).json()
    session = done["session_id"]
    pair = [_said("My dog is Max."), _answered("Fine.")]
    edited = _append(backend, "kim", session, *pair, replaces_from=2).json()
    assert [one["position"] for one in edited["messages"]] == [4, 5]
    assert {one["turn_id"] for one in edited["messages"]} == {f"{session}.4"}
    again = _append(backend, "kim", session, _answered("Great."), replaces_from=5).json()
    assert again["messages"][0]["turn_id"] == f"{session}.4"
    live = [one["content"] for one in _stored(backend, "kim", session)]
    assert live == ["Hello.", "Hi.", "My dog is Max.", "Great."]
    hits = backend.client.post("/v1/users/kim/search", json={"query": "dog"}).json()["hits"]
    assert hits[0]["message"]["content"] == "My dog is Max."
    assert "Rex" not in str(hits)


@pytest.mark.parametrize(
    ("messages", "more", "status"),
    [
        ([], {}, 422),
        ([{"role": "system", "content": "No."}], {}, 422),
        ([{"role": "user", "content": " "}], {}, 422),
        ([{"role": "user", "content": "a\0b"}], {}, 422),
        ([{"role": "user", "content": "x" * 40_000}], {}, 413),
        ([{"role": "tool", "content": "x"}], {}, 422),
        ([{"role": "user", "content": "x", "tool_calls": [{"id": "1", "name": "f"}]}], {}, 422),
        ([{"role": "user", "content": "x", "colour": "blue"}], {}, 422),
        ([{"role": "user", "content": "x", "time": "2026-11-30T08:00:00"}], {}, 422),
        ([{"role": "user", "content": "x", "metadata": {"a": "b" * 5000}}], {}, 422),
        ([{"role": "user", "content": "x", "id": "1"}] * 2, {}, 422),
        ([{"role": "user", "content": "x"}] * 201, {}, 422),
        ([{"role": "user", "content": "x"}], {"profile": "nope"}, 422),
        ([{"role": "user", "content": "x"}], {"colour": "blue"}, 422),
    ],
)
def test_a_request_with_an_invalid_message_stores_nothing(
    backend: Backend, messages: list[dict[str, Any]], more: dict[str, Any], status: int
) -> None:
    whole = [_said("Valid."), *messages] if messages else []
    answer = _append(backend, "jo", "new", *whole, **more)
    assert answer.status_code == status, answer.text
    assert backend.sessions("jo") == []
