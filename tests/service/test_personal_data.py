"""Personal data by policy: what the model sees of them, and that nothing of them is stored."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.openai_server import OpenAIServer
from tests.service.conftest import Backend
from tests.service.file_search import found_in_files, found_in_redis
from tests.services import running_service

_SAID = "Canary@example.org, 4111 1111 1111 1111, 2001:db8::77, +49 171 7654321, B-123456"
_KEPT = "[email], [card], [ip], [phone], [badge]"
_TRACES = ("canary", "4111 1111", "db8::77", "7654321", "B-123456")


@pytest.fixture(scope="module")
def backend(model: OpenAIServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    folder = tmp_path_factory.mktemp("personal")
    profiles = folder / "profiles.toml"
    profiles.write_text(
        '[redaction.patterns]\nbadge = "B-[0-9]{6}"\n'
        '[profiles.blind]\nlayers = ["window", "vector"]\nredact = "model"\n'
        '[profiles.open]\nlayers = ["window", "summary"]\nredact = "off"\n'
        '[profiles.shut]\nlayers = ["window", "summary"]\nwindow.keep_pairs = 1\n'
        "summary.fold_messages = 1\n"
    )
    settings = {
        "ONIONSKIN_MODEL_BASE_URL": model.base_url,
        "ONIONSKIN_MODEL": "test-model",
        "ONIONSKIN_MODEL_RETRIES": "0",
        "ONIONSKIN_PROFILES": str(profiles),
        "ONIONSKIN_REDACT": "stored",
    }
    with ExitStack() as stack:
        service = stack.enter_context(running_service(folder / "data", **settings))
        yield Backend(service, stack.enter_context(service.client()), model)


@pytest.fixture(autouse=True)
def fresh_model(backend: Backend) -> None:
    backend.model.requests.clear()


def _seen(backend: Backend) -> str:
    return json.dumps([one.body for one in backend.model.requests], ensure_ascii=False)


def _assert_nothing_is_stored(backend: Backend, user: str) -> None:
    data = backend.service.data_dir
    for trace in _TRACES:
        assert not [one for one in found_in_redis(data, trace) if user in one]


def test_stored_without_them_though_the_model_sees_them(backend: Backend) -> None:
    key = {"Idempotency-Key": "stored"}
    body = {"user_id": "stored", "message": _SAID}
    first, again = (backend.client.post("/v1/chat", json=body, headers=key) for _ in range(2))
    assert _SAID in first.json()["reply"]
    assert _SAID in _seen(backend)
    assert _KEPT in again.json()["reply"]
    said, replied = backend.transcript("stored")
    assert said == _KEPT
    assert _KEPT in replied
    backend.say("stored", "Who am I?", stream=True).raise_for_status()
    _assert_nothing_is_stored(backend, "stored")


def test_a_profile_may_hide_them_from_the_model_too(backend: Backend) -> None:
    messages = [{"role": "system", "content": _SAID}, {"role": "user", "content": _SAID}]
    body = {"model": "blind", "user": "blind", "messages": messages}
    backend.client.post("/v1/chat/completions", json=body).raise_for_status()
    assert _seen(backend).count(_KEPT) == 2
    assert not [trace for trace in _TRACES if trace in _seen(backend).casefold()]
    _assert_nothing_is_stored(backend, "blind")


def test_what_was_stored_before_is_hidden_where_the_policy_says_so(backend: Backend) -> None:
    backend.say("before", _SAID, profile="open").raise_for_status()
    assert backend.transcript("before")[0] == _SAID
    backend.model.requests.clear()
    backend.say("before", "And now?", profile="blind").raise_for_status()
    assert _KEPT in _seen(backend)
    assert "Canary" not in _seen(backend)


def test_summaries_are_made_without_them(backend: Backend) -> None:
    session = backend.say("folded", _SAID, profile="open").json()["session_id"]
    backend.say("folded", "Go on.", profile="shut", session_id=session).raise_for_status()
    backend.model.requests.clear()
    url = f"/v1/users/folded/sessions/{session}"
    shut = backend.client.post(f"{url}/fork", json={"profile": "shut"}).json()["session_id"]
    for _ in range(2):
        backend.say("folded", "Go on.", profile="shut", session_id=shut).raise_for_status()
    assert backend.wait_for_fold("folded")["session_id"] == shut
    folds = [
        one.body for one in backend.model.requests if "running summary" in json.dumps(one.body)
    ]
    assert folds
    assert "Canary" not in json.dumps(folds)


def test_a_resent_history_is_known_again(backend: Backend) -> None:
    messages: list[dict[str, Any]] = [{"role": "user", "content": _SAID}]
    sessions: list[str] = []
    for text in ("And now?", "And then?"):
        body = {"model": "layered", "user": "resent", "messages": messages}
        done = backend.client.post("/v1/chat/completions", json=body).raise_for_status().json()
        sessions.append(done["metadata"]["session_id"])
        messages += [done["choices"][0]["message"], {"role": "user", "content": text}]
    assert len(set(sessions)) == 1
    _assert_nothing_is_stored(backend, "resent")


def test_imports_and_memories_are_kept_without_them(backend: Backend) -> None:
    home = "/v1/users/other"
    line = {"role": "user", "author": "canary@example.org", "content": _SAID, "session": _SAID}
    backend.client.post(f"{home}/import", content=json.dumps(line)).raise_for_status()
    made = backend.client.post(f"{home}/memories", json={"content": _SAID, "tags": ["a@b.co"]})
    assert made.json()["content"] == _KEPT
    assert made.json()["tags"] == ["[email]"]
    refused = backend.client.put(f"{home}/preferences/a@b.co", json={"content": "Tea."})
    assert refused.status_code == 422
    assert backend.transcript("other") == [_KEPT]
    _assert_nothing_is_stored(backend, "other")
    assert found_in_files(backend.service.data_dir, "canary")  # of the profile that keeps them
