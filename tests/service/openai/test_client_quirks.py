"""Open WebUI and LibreChat: whose request it is, and what is no part of a conversation."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import openai
import pytest
from openai import OpenAI

from tests.openai_faults import Fault
from tests.service.conftest import Backend
from tests.service.openai.sdk_calls import ask, asked_last, from_assistant, from_user
from tests.services import running_service

_SECRET = "a secret that Open WebUI and Onionskin share, of 64 bytes or more. " * 2
_CHAT = "<chat_history>\nUSER: My dog is Biscuit.\n</chat_history>"


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service that knows Open WebUI's secret."""
    settings = {"ONIONSKIN_OPENWEBUI_SECRET": _SECRET, "ONIONSKIN_MODEL": "offline"}
    folder = tmp_path_factory.mktemp("signed")
    with running_service(folder, **settings) as service, service.client() as found:
        yield found


def _token(secret: str = _SECRET, **claims: object) -> dict[str, str]:
    now = time.time()
    plain = {"sub": "owui-1", "iss": "open-webui", "iat": now, "exp": now + 300}
    given = {name: value for name, value in (plain | claims).items() if value is not None}
    return {"X-OpenWebUI-User-Jwt": jwt.encode(given, secret, "HS256")}


def _send(client: httpx.Client, headers: dict[str, str], **more: object) -> httpx.Response:
    body = {"model": "layered", "messages": [from_user("Hello.")], **more}
    return client.post("/v1/chat/completions", json=body, headers=headers)


def _sessions(client: httpx.Client, user: str) -> int:
    return len(client.get(f"/v1/users/{user}/sessions").json()["sessions"])


def test_the_signed_header_names_the_user(signed: httpx.Client) -> None:
    assert _send(signed, _token()).is_success
    assert _sessions(signed, "owui-1") == 1
    assert _send(signed, _token(sub="owui-2"), user="named").is_success
    assert (_sessions(signed, "owui-2"), _sessions(signed, "named")) == (0, 1)


@pytest.mark.parametrize(
    "headers",
    [
        _token(_SECRET[::-1]),
        _token(exp=time.time() - 3600),
        _token(exp=None),
        _token(sub=None),
        _token(iss="another"),
        {"X-OpenWebUI-User-Jwt": "no token"},
    ],
)
def test_a_signature_that_does_not_hold_is_refused(
    signed: httpx.Client, headers: dict[str, str]
) -> None:
    answer = _send(signed, headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "authentication_error"
    assert _SECRET[:20] not in answer.text


def test_unsigned_headers_name_nobody(signed: httpx.Client, backend: Backend) -> None:
    plain = {"X-OpenWebUI-User-Id": "mallory", "X-OpenWebUI-User-Email": "m@example.test"}
    for client, headers in (
        (signed, plain),
        (backend.client, plain),
        (backend.client, _token(sub="mallory")),
    ):
        answer = _send(client, headers)
        assert answer.status_code == 400
        assert "`user`" in answer.json()["error"]["message"]
        assert _sessions(client, "mallory") == 0


def test_user_comes_before_safety_identifier(backend: Backend) -> None:
    assert _send(backend.client, {}, user="f1", safety_identifier="f2").is_success
    assert _send(backend.client, {}, safety_identifier="f3").is_success
    assert [_sessions(backend.client, name) for name in ("f1", "f2", "f3")] == [1, 0, 1]


_JOBS: list[tuple[str, dict[str, Any]]] = [
    (f"### Task:\nGenerate a concise, 3-5 word title.\n### Chat History:\n{_CHAT}", {}),
    (f"### Task:\nSuggest 3-5 relevant follow-up questions.\n{_CHAT}", {}),
    (f"### Task:\nGenerate 1-3 broad tags.\n{_CHAT}", {}),
    ("Provide a concise, 5-word-or-less title for the conversation, using title case.", {}),
    ("Analyze this conversation and provide:\n2. A concise title in the detected language", {}),
    ("Please generate a concise title (max 40 characters) for a conversation that starts with", {}),
    ("Anything.", {"metadata": {"task": "title_generation"}}),
    ("Anything.", {"extra_headers": {"X-Onionskin-Task": "title_generation"}}),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("text", "more"), _JOBS)
def test_a_job_is_answered_by_the_model_alone(
    client: OpenAI, backend: Backend, text: str, more: dict[str, Any], stream: bool
) -> None:
    ask(client, "f4", from_user("My dog is called Biscuit."))
    stored = backend.transcript("f4")
    answer = ask(client, "f4", from_user(text), stream=stream, **more)
    said = "".join(c.choices[0].delta.content or "" for c in answer if c.choices) if stream else ""
    assert (said or answer.choices[0].message.content).startswith("You said:")
    shown = asked_last(backend)["messages"]
    assert [one["content"] for one in shown] == [text]
    assert backend.transcript("f4") == stored


@pytest.mark.parametrize(
    "text",
    [
        "How do I provide a concise, 5-word-or-less title for the conversation?",
        "### Task:\nAnswer from the context.\n<context>Biscuit is a dog.</context>",
        "Analyze this conversation and provide a summary.",
        f"What does {_CHAT} mean?",
    ],
)
def test_what_only_looks_like_a_job_is_remembered(
    client: OpenAI, backend: Backend, text: str
) -> None:
    before = len(backend.sessions("f5"))
    ask(client, "f5", from_user(text))
    assert len(backend.sessions("f5")) == before + 1


def test_a_job_needs_no_user_and_its_errors_are_errors(backend: Backend) -> None:
    headers = {"X-Onionskin-Task": "title_generation"}
    assert _send(backend.client, headers).is_success
    assert _send(backend.client, headers, model="gpt-9").status_code == 404
    for stream in (False, True):
        backend.model.faults.append(Fault(status=500, purpose="completions"))
        answer = _send(backend.client, headers, stream=stream)
        assert answer.status_code == 502
        assert answer.json()["error"]["code"] == "model_failed"


def test_fields_that_nobody_knows_are_passed_over(client: OpenAI, backend: Backend) -> None:
    odd: dict[str, Any] = {"chat_id": "1", "features": {"web": True}, "store": True, "top_k": 3}
    ask(client, "f6", from_user("Hello."), from_assistant("Hi."), from_user("On."), extra_body=odd)
    assert not set(odd) & set(asked_last(backend))
    assert "features" not in json.dumps(asked_last(backend))


def test_a_request_without_a_user_says_what_to_do(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="layered", messages=[from_user("Hello.")])
    assert caught.value.type == "invalid_request_error"
    assert "safety_identifier" in str(caught.value)
