"""`Idempotency-Key`: the same request, sent again, is done once."""

import concurrent.futures
import threading
import time
from datetime import timedelta
from typing import Any, cast

import httpx
import pytest

from tests.openai_faults import Fault
from tests.polling import until
from tests.service.conftest import Backend


def _send(
    backend: Backend, key: str, message: str = "Hello.", user: str = "i", **more: object
) -> httpx.Response:
    body = {"user_id": user, "message": message, **more}
    return backend.client.post("/v1/chat", json=body, headers={"Idempotency-Key": key})


def test_the_same_request_is_answered_the_same_by_one_model_call(backend: Backend) -> None:
    first = _send(backend, "key-1", user="i1").raise_for_status()
    asked = len(backend.model.requests)
    again = [_send(backend, "key-1", user="i1") for _ in range(3)]
    assert {one.content for one in again} == {first.content}
    assert {one.headers["Idempotency-Replayed"] for one in again} == {"true"}
    assert len(backend.model.requests) == asked
    assert len(backend.transcript("i1")) == 2
    assert _send(backend, "key-2", user="i1").json()["turn_id"] != first.json()["turn_id"]


def test_a_stream_is_sent_again_whole(backend: Backend) -> None:
    first = _send(backend, "key-1", user="i2", stream=True)
    again = _send(backend, "key-1", user="i2", stream=True)
    assert first.content == again.content
    assert again.headers["content-type"].startswith("text/event-stream")
    assert len(backend.transcript("i2")) == 2


def test_a_key_for_another_request_is_refused(backend: Backend) -> None:
    _send(backend, "key-1", user="i3").raise_for_status()
    other = _send(backend, "key-1", "Something else.", user="i3")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    for bad in ("", "x" * 256, "a\tb"):
        assert _send(backend, bad, user="i3").status_code == 422
    assert _send(backend, "key-1", user="i3-other").is_success


def test_while_the_first_is_under_way_the_second_is_refused(backend: Backend) -> None:
    gate = threading.Event()
    backend.model.faults.append(Fault(until=gate, purpose="completions"))
    asked = len(backend.model.requests)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(_send, backend, "key-1", user="i4")
        until(lambda: len(backend.model.requests) > asked)
        second = _send(backend, "key-1", user="i4")
        assert (second.status_code, second.json()["code"]) == (409, "idempotency_in_flight")
        gate.set()
        assert first.result().is_success
    assert len(backend.transcript("i4")) == 2


def test_a_request_that_failed_may_be_tried_again(backend: Backend) -> None:
    backend.model.faults.append(Fault(status=500, purpose="completions"))
    assert _send(backend, "key-1", user="i5").status_code == 502
    assert _send(backend, "key-1", user="i5").is_success
    assert len(backend.transcript("i5")) == 2


@pytest.mark.parametrize("number", range(2))
def test_a_client_that_left_a_stream_finds_session_and_key_free(
    backend: Backend, number: int
) -> None:
    user = f"i8-{number}"
    session_id = backend.say(user, "Hello.").raise_for_status().json()["session_id"]
    backend.model.faults.append(Fault(token_delay=timedelta(seconds=30), purpose="completions"))
    body = {"user_id": user, "message": "Go on.", "session_id": session_id, "stream": True}
    headers = {"Idempotency-Key": "key-1"}
    with backend.client.stream("POST", "/v1/chat", json=body, headers=headers) as answer:
        next(line for line in answer.iter_lines() if line.startswith("event: token"))
    deadline = time.monotonic() + 30  # a claim outlives a crash for longer
    while (again := backend.client.post("/v1/chat", json=body, headers=headers)).status_code == 409:
        assert time.monotonic() < deadline
    assert "event: done" in again.text
    assert time.monotonic() < deadline
    assert backend.transcript(user)[::2] == ["Hello.", "Go on."]


@pytest.mark.parametrize("stream", [True, False])
def test_a_turn_stored_just_before_a_crash_is_not_stored_again(
    backend: Backend, *, stream: bool
) -> None:
    user = f"i6-{stream}"
    first = _send(backend, "key-1", user=user).raise_for_status().json()
    _forget_answers(backend, user)  # as if the worker had been killed between commit and answer
    asked = len(backend.model.requests)
    again = _send(backend, "key-1", user=user, stream=stream)
    assert again.is_success
    assert "Idempotency-Replayed" not in again.headers
    if not stream:
        assert again.json()["reply"] == first["reply"]
        assert again.json()["turn_id"] == first["turn_id"]
    assert len(backend.model.requests) == asked
    assert len(backend.transcript(user)) == 2


def test_an_answer_given_again_names_the_memory_that_gave_it(backend: Backend) -> None:
    first = _send(backend, "key-1", user="i9", profile="layered").raise_for_status().json()
    backend.say("i9", "Go on.", profile="none").raise_for_status()
    _forget_answers(backend, "i9")
    again = _send(backend, "key-1", user="i9", profile="layered").json()
    assert again["turn_id"] == first["turn_id"]
    assert again["profile"] == first["profile"] == "layered"


def _forget_answers(backend: Backend, user: str) -> None:
    import redis  # noqa: PLC0415

    directory = backend.service.data_dir
    with redis.Redis(unix_socket_path=str(directory / "redis.sock")) as client:
        pattern = f"onionskin:{{default/{user}}}:once:http:*"
        scanned: Any = cast("Any", client).scan_iter(pattern)
        found = list(scanned)
        assert len(found) == 1
        client.delete(*found)


def test_memories_are_kept_once(backend: Backend) -> None:
    url, headers = "/v1/users/i7/memories", {"Idempotency-Key": "key-1"}
    answers = [
        backend.client.post(url, json={"content": "Likes jazz."}, headers=headers) for _ in range(2)
    ]
    assert answers[0].content == answers[1].content
    assert [one.status_code for one in answers] == [201, 201]
    assert len(backend.client.get(url).json()["memories"]) == 1
