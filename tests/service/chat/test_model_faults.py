"""A model that is away, slow, wrong or cut off: a clear error, and the message is kept."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from onionskin.chains.generation import LONGEST_ANSWER
from tests.openai_server import Fault, Request
from tests.polling import until
from tests.service.conftest import Backend
from tests.service.events import read_events

_LONG = timedelta(seconds=20)
_WHOLE = [
    (Fault(status=500), 502, "model_failed"),
    (Fault(status=429), 502, "model_failed"),
    (Fault(status=401), 401, "model_refused"),
    (Fault(refuse=True), 502, "model_failed"),
    (Fault(body=b"<html>not JSON</html>"), 502, "model_failed"),
    (Fault(body=b'{"choices": []}'), 502, "model_failed"),
    (Fault(body=b""), 502, "model_failed"),
    (Fault(delay=_LONG), 504, "model_timeout"),
    (Fault(hang=True), 504, "model_timeout"),
]
_STREAMED = [
    *_WHOLE,
    (Fault(cut_after_tokens=2), 502, "model_failed"),
    (Fault(end_after_tokens=2), 502, "model_failed"),
    (Fault(token_delay=_LONG), 504, "model_timeout"),
]


@pytest.fixture(scope="module")
def settings_of_backend() -> dict[str, str]:
    return {"ONIONSKIN_MODEL_TIMEOUT": "5"}


@pytest.mark.parametrize(("fault", "status", "code"), _WHOLE)
def test_a_failing_model_keeps_the_message(
    backend: Backend, fault: Fault, status: int, code: str
) -> None:
    backend.model.fault = fault
    user = f"whole-{_WHOLE.index((fault, status, code))}"
    response = backend.say(user, "Hello there.")
    assert response.status_code == status
    assert response.json()["code"] == code
    assert "Traceback" not in response.text
    backend.model.fault = None
    _assert_kept(backend, user, "Hello there.", response.json())


@pytest.mark.parametrize(("fault", "status", "code"), _STREAMED)
def test_a_stream_that_fails_ends_in_an_error_and_keeps_the_message(
    backend: Backend, fault: Fault, status: int, code: str
) -> None:
    backend.model.fault = fault
    user = f"streamed-{_STREAMED.index((fault, status, code))}"
    body = {"user_id": user, "message": "Tell me a long story.", "stream": True}
    with backend.client.stream("POST", "/v1/chat", json=body) as response:
        events = list(read_events(response.iter_lines()))
    assert events[0][0] == "session"
    assert events[-1][0] == "error"
    assert events[-1][1]["status"] == status
    assert events[-1][1]["code"] == code
    backend.model.fault = None
    _assert_kept(backend, user, "Tell me a long story.", events[-1][1])


def _assert_kept(backend: Backend, user: str, text: str, problem: dict[str, Any]) -> None:
    """Check that the message is listed without an answer, where the error says it is."""
    session_id, turn_id = problem["session_id"], problem["turn_id"]
    assert turn_id in problem["detail"]
    path = f"/v1/users/{user}/sessions/{session_id}/messages"
    question, *answers = backend.client.get(path).json()["messages"]
    assert (question["role"], question["content"]) == ("user", text)
    assert question["unanswered"] is (not answers)
    assert all(answer["interrupted"] for answer in answers)
    turn = backend.client.get(f"/v1/users/{user}/turns/{turn_id}").json()
    assert turn["unanswered"] is (not answers)
    assert turn["said"]["content"] == text
    answer = backend.say(user, text).raise_for_status().json()
    assert backend.transcript(user) == [text, answer["reply"]]


def test_an_answer_without_words_is_an_error(backend: Backend) -> None:
    backend.model.reply = _saying("  ")
    assert backend.say("empty", "Hello.").status_code == 502
    assert backend.transcript("empty") == ["Hello."]


@pytest.mark.parametrize("stream", [True, False])
def test_an_enormous_answer_is_an_error(backend: Backend, stream: bool) -> None:
    backend.model.reply = _saying("w" * (LONGEST_ANSWER + 1))
    response = backend.say("enormous", "Tell me everything.", stream=stream)
    assert "answered more than" in response.text
    assert response.status_code == (200 if stream else 502)
    assert backend.transcript("enormous")[0] == "Tell me everything."


def test_a_failed_turn_leaves_its_message_in_the_session(backend: Backend) -> None:
    backend.say("going", "First.").raise_for_status()
    before = backend.transcript("going")
    backend.model.faults.append(Fault(status=500))
    assert backend.say("going", "Lost.").status_code == 502
    assert backend.transcript("going") == [*before, "Lost."]
    backend.say("going", "Second.").raise_for_status()
    assert backend.transcript("going")[2:4] == ["Lost.", "Second."]
    prompt = [message["content"] for message in backend.model.requests[-1].body["messages"]]
    assert sum("Lost." in text for text in prompt) == 1


def test_a_client_that_hangs_up_leaves_the_beginning_of_the_answer(backend: Backend) -> None:
    backend.model.faults.append(Fault(token_delay=timedelta(milliseconds=300)))
    backend.model.reply = _saying("a story of eight words takes longer than that")
    body = {"user_id": "leaver", "message": "Tell me a story.", "stream": True}
    with backend.client.stream("POST", "/v1/chat", json=body) as response:
        for name, _ in read_events(response.iter_lines()):
            if name == "token":
                break
    until(lambda: len(backend.sessions("leaver")) == 1)
    (session,) = backend.sessions("leaver")
    path = f"/v1/users/leaver/sessions/{session['session_id']}/messages"
    question, answer = backend.client.get(path).json()["messages"]
    assert question["content"] == "Tell me a story."
    assert answer["content"].startswith("a")
    assert "takes longer" not in answer["content"]
    assert answer["interrupted"]
    backend.say("leaver", "Tell me a story.").raise_for_status()
    whole = "a story of eight words takes longer than that"
    assert backend.transcript("leaver") == ["Tell me a story.", whole]


def test_a_summary_that_fails_is_tried_again(backend: Backend) -> None:
    backend.model.reply = _saying("Yes.")
    for number in range(36):
        backend.say("folded", f"Line {number}.").raise_for_status()
    backend.model.faults.extend([Fault(), Fault(status=500)])  # the answer's, and the fold's
    backend.say("folded", "The turn that makes the fold due.").raise_for_status()
    assert backend.wait_for_fold("folded")["summary"]
    assert not backend.model.faults
    assert backend.sessions("folded")[0]["messages"] == 74


def _saying(text: str) -> Callable[[Request], str]:
    def reply(_: Request) -> str:
        return text

    return reply
