"""What is said between private tags reaches the model, for this turn, and nothing else."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.openai_faults import Fault
from tests.openai_server import OpenAIServer
from tests.service.conftest import Backend
from tests.service.file_search import found_in_files, found_in_redis
from tests.services import running_service

_SECRET = "canary-77 sings in the mine"
_SAID = f"My word is <private>{_SECRET}</private>, keep it."
_KEPT = "My word is [private], keep it."


@dataclass(frozen=True, slots=True)
class Watched(Backend):
    """A service whose whole log goes into a file."""

    log: Path = Path()

    def seen_by_model(self) -> str:
        return json.dumps([one.body for one in self.model.requests], ensure_ascii=False)

    def left_behind(self) -> list[str]:
        data = self.service.data_dir
        stored = found_in_redis(data, "canary") + found_in_files(data, "canary")
        return stored + found_in_files(self.log.parent, "canary")


@pytest.fixture(scope="module")
def backend(model: OpenAIServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("private")
    (folder / "log").mkdir()
    profiles = folder / "profiles.toml"
    profiles.write_text(
        '[profiles.eager]\nlayers = ["window", "summary", "facts", "vector"]\n'
        "window.keep_pairs = 1\nsummary.fold_messages = 1\n"
        "extraction.enabled = true\nextraction.messages = 1\n"
    )
    settings = {
        "ONIONSKIN_MODEL_BASE_URL": model.base_url,
        "ONIONSKIN_MODEL": "test-model",
        "ONIONSKIN_MODEL_RETRIES": "0",
        "ONIONSKIN_MODEL_TIMEOUT": "2",
        "ONIONSKIN_LOG_LEVEL": "debug",
        "ONIONSKIN_PROFILES": str(profiles),
        "ONIONSKIN_PROFILE": "eager",
    }
    with ExitStack() as stack:
        log = folder / "log" / "log"
        file = stack.enter_context(log.open("w"))
        service = stack.enter_context(running_service(folder / "data", file, **settings))
        client = stack.enter_context(service.client())
        yield Watched(service, client, model, log)


@pytest.fixture(autouse=True)
def nothing_is_left_behind(backend: Watched) -> Iterator[None]:
    backend.model.requests.clear()
    yield
    assert "canary" not in found_in_files(backend.service.data_dir, "canary")
    assert backend.left_behind() == []


def _complete(
    backend: Watched, user: str, *messages: dict[str, Any], **more: Any
) -> httpx.Response:
    body = {"model": "eager", "user": user, "messages": list(messages), **more}
    return backend.client.post("/v1/chat/completions", json=body).raise_for_status()


def _said(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


@pytest.mark.parametrize("stream", [False, True])
def test_a_turn_is_answered_with_it_and_stored_without_it(backend: Watched, stream: bool) -> None:
    user = f"turn-{stream}"
    answer = backend.say(user, _SAID, stream=stream).raise_for_status()
    assert "canary-77" in answer.text
    assert f"My word is {_SECRET}, keep it." in backend.seen_by_model()
    assert backend.transcript(user)[0] == _KEPT
    assert _SECRET not in backend.transcript(user)[1]
    assert backend.sessions(user)[0]["title"] == _KEPT
    backend.model.requests.clear()
    for _ in range(3):
        backend.say(user, "What is my word?").raise_for_status()
    assert backend.wait_for_fold(user)
    assert "canary" not in backend.seen_by_model()


def test_an_unclosed_tag_hides_the_rest_and_an_empty_span_is_no_message(backend: Watched) -> None:
    backend.say("unclosed", "Well: <PRIVATE >canary here\nand canary there").raise_for_status()
    assert backend.transcript("unclosed")[0] == "Well: [private]"
    refused = backend.say("unclosed", "<private> </private>")
    assert refused.status_code == 422
    assert backend.say("unclosed", f"<private>{'canary ' * 9000}").status_code == 413


def test_a_request_that_is_sent_again_is_answered_from_what_is_stored(backend: Watched) -> None:
    headers = {"Idempotency-Key": "again"}
    for stream in (False, True):
        body = {"user_id": f"again-{stream}", "message": _SAID, "stream": stream}
        first = backend.client.post("/v1/chat", json=body, headers=headers).raise_for_status()
        again = backend.client.post("/v1/chat", json=body, headers=headers).raise_for_status()
        assert "canary-77" in first.text
        assert "[private]" in again.text
        assert again.headers["Idempotency-Replayed"] == "true"
        other = {**body, "message": "Something else."}
        assert backend.client.post("/v1/chat", json=other, headers=headers).status_code == 422
        assert len(backend.transcript(f"again-{stream}")) == 2
    answers = [one for one in backend.model.requests if "keep it" in json.dumps(one.body)]
    assert len([one for one in answers if "canary" in json.dumps(one.body)]) == 2


def test_a_resent_history_is_known_again(backend: Watched) -> None:
    first = _complete(backend, "resent", _said(_SAID)).json()
    answer = {"role": "assistant", "content": first["choices"][0]["message"]["content"]}
    assert _SECRET in answer["content"]
    second = _complete(backend, "resent", _said(_SAID), answer, _said("And now?")).json()
    third = _complete(
        backend, "resent", answer, _said("And now?"), _answer(second), _said("Then?")
    ).json()
    stored = [one["metadata"]["session_id"] for one in (first, second, third)]
    assert len(set(stored)) == 1
    assert len(backend.transcript("resent")) == 6


def test_a_history_that_is_new_is_taken_up_without_it(backend: Watched) -> None:
    answer = {"role": "assistant", "content": f"So it is {_SECRET}."}
    _complete(backend, "taken", _said(_SAID), answer, _said("And now?"))
    assert backend.transcript("taken")[:2] == [_KEPT, "So it is [private]."]


def test_a_span_may_reach_over_the_parts_of_a_message(backend: Watched) -> None:
    parts = [
        {"type": "text", "text": "Look: <private>canary-1"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "text", "text": "canary-2</private> done"},
    ]
    _complete(backend, "parts", _said(parts))
    assert backend.transcript("parts")[0] == "Look: [private] done"
    assert "canary-1" in backend.seen_by_model()


def test_a_job_of_a_front_end_sees_nothing_of_it(backend: Watched) -> None:
    chat = f"### Task: a title\n<chat_history>USER: {_SAID}</chat_history>"
    for stream in (False, True):
        _complete(backend, "job", _said(chat), stream=stream)
    assert "keep it" in backend.seen_by_model()
    assert "canary" not in backend.seen_by_model()


def test_imports_and_memories_are_kept_without_it(backend: Watched) -> None:
    lines = [
        {"role": "user", "content": _SAID, "session": "<private>canary</private>"},
        {
            "role": "assistant",
            "content": f"I see: {_SECRET}",
            "session": "<private>canary</private>",
        },
    ]
    home = "/v1/users/other"
    backend.client.post(
        f"{home}/import", content="".join(f"{json.dumps(one)}\n" for one in lines)
    ).raise_for_status()
    assert backend.transcript("other") == [_KEPT, "I see: [private]"]
    fields = {"content": _SAID, "tags": ["a <private>canary</private>"], "metadata": {"m": [_SAID]}}
    key = {"Idempotency-Key": "memory"}
    url = f"{home}/memories"
    made = [backend.client.post(url, json=fields, headers=key).json() for _ in range(2)]
    assert made[0] == made[1]
    assert (made[0]["content"], made[0]["tags"]) == (_KEPT, ["a [private]"])
    one = f"{home}/memories/{made[0]['id']}"
    assert backend.client.patch(one, json={"content": f"So: {_SAID}"}).is_success
    refused = backend.client.post(f"{home}/memories", json={"content": "x", "topic": _SAID})
    assert (refused.status_code, "canary" in refused.text) == (422, False)
    found = backend.client.post(f"{home}/memories/search", json={"query": _SAID})
    assert found.is_success
    begun = {"title": _SAID, "metadata": {"note": _SAID}, "message": _SAID}
    session = backend.client.post(f"{home}/sessions", json=begun).raise_for_status().json()
    assert session["session"]["title"] == _KEPT


def test_a_restored_export_is_kept_without_it(backend: Watched) -> None:
    backend.say("whole", "KEPT").raise_for_status()
    backend.client.post("/v1/users/whole/memories", json={"content": "KEPT", "tags": ["KEPT"]})
    export = backend.client.get("/v1/users/whole/export").text
    said = json.dumps(_SAID)[1:-1]
    written = export.replace("KEPT", said)
    backend.client.post("/v1/users/restored/import", content=written).raise_for_status()
    assert backend.transcript("restored")[0] == _KEPT


def test_failures_of_the_model_tell_nothing(backend: Watched) -> None:
    for fault in (Fault(status=500), Fault(hang=True), Fault(body=b"canary")):
        for stream in (False, True):
            backend.model.fault = fault  # also of a job that comes between
            failed = backend.say("failing", _SAID, stream=stream)
            assert "canary" not in failed.text
    backend.model.fault = None
    assert backend.transcript("failing") == ["My word is [private], keep it."]


def _answer(completion: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": completion["choices"][0]["message"]["content"]}
