"""The reasoning of a model: not in replies of `/v1/chat`, and in no memory at all."""

from typing import Any

import pytest
from openai import OpenAI

from tests.service.conftest import Backend
from tests.service.events import read_events

_ANSWERS = {
    "tag": "<think>\nThe user greets. Red herring.\n</think>\n\nHello Rex.",
    "bare": "Red herring.\n</think>\n\nHello Rex.",
    "nested": "<think>\nRed <think>herring</think> again\n</think>\nHello Rex.",
    "thinking": "<thinking>Red herring.</thinking>\n\nHello Rex.",
    "mistral": "[THINK]Red herring.[/THINK]Hello Rex.",
    "harmony": "<|channel|>analysis<|message|>Red herring.<|end|><|start|>assistant"
    "<|channel|>final<|message|>Hello Rex.",
}
_CODE = "The tag:\n```html\n<think>\nRed herring.\n</think>\n```\nIt is not `<b>`."


def _answering(backend: Backend, text: str) -> None:
    backend.model.reply = lambda _: text


def _streamed(backend: Backend, user: str, message: str) -> list[tuple[str, Any]]:
    body = {"user_id": user, "message": message, "stream": True}
    with backend.client.stream("POST", "/v1/chat", json=body) as response:
        return list(read_events(response.iter_lines()))


@pytest.mark.parametrize("kind", _ANSWERS)
def test_a_reply_is_given_and_stored_without_reasoning(backend: Backend, kind: str) -> None:
    user = f"reasoning-{kind}"
    _answering(backend, _ANSWERS[kind])
    assert backend.say(user, "My dog is called Rex.").json()["reply"] == "Hello Rex."
    assert backend.transcript(user) == ["My dog is called Rex.", "Hello Rex."]
    backend.say(user, "And now?")
    prompt = str(backend.model.requests[-1].messages)
    assert "Hello Rex." in prompt
    assert "herring" not in prompt


@pytest.mark.parametrize("kind", [kind for kind in _ANSWERS if kind != "bare"])
def test_a_streamed_reply_has_no_reasoning(backend: Backend, kind: str) -> None:
    user = f"streamed-reasoning-{kind}"
    _answering(backend, _ANSWERS[kind])
    events = _streamed(backend, user, "My dog is called Rex.")
    text = "".join(data.get("text", "") for name, data in events if name == "token")
    assert text == "Hello Rex."
    assert backend.transcript(user) == ["My dog is called Rex.", "Hello Rex."]


def test_code_with_the_same_marks_is_kept(backend: Backend) -> None:
    _answering(backend, _CODE)
    assert backend.say("reasoning-code", "Which tag?").json()["reply"] == _CODE
    events = _streamed(backend, "reasoning-code", "Once more.")
    assert "".join(data.get("text", "") for name, data in events if name == "token") == _CODE
    assert backend.transcript("reasoning-code")[1::2] == [_CODE, _CODE]


def test_an_answer_of_reasoning_alone_leaves_the_message_unanswered(backend: Backend) -> None:
    _answering(backend, "<think>\nThe user has a red herring and")
    response = backend.say("reasoning-alone", "My dog is called Rex.")
    assert response.status_code == 502
    assert "reasoning" in response.json()["detail"]
    assert backend.transcript("reasoning-alone") == ["My dog is called Rex."]
    events = _streamed(backend, "reasoning-alone", "My dog is called Rex.")
    assert events[-1][0] == "error"
    _answering(backend, "Hello Rex.")
    backend.say("reasoning-alone", "My dog is called Rex.")
    assert backend.transcript("reasoning-alone") == ["My dog is called Rex.", "Hello Rex."]


@pytest.mark.parametrize("streams", [False, True])
def test_an_openai_client_gets_the_text_as_it_is_and_continues_its_session(
    backend: Backend, streams: bool
) -> None:
    user, raw = f"reasoning-openai-{streams}", _ANSWERS["tag"]
    _answering(backend, raw)
    with OpenAI(base_url=f"{backend.service.url}/v1", api_key="any", max_retries=0) as client:
        create: Any = client.chat.completions.create
        said = [{"role": "user", "content": "My dog is called Rex."}]
        answer = create(model="layered", user=user, messages=said, stream=streams)
        if streams:
            text = "".join(c.choices[0].delta.content or "" for c in answer if c.choices)
        else:
            text = answer.choices[0].message.content
        assert text == raw
        history = [*said, {"role": "assistant", "content": raw}]
        again = {"role": "user", "content": "And now?"}
        create(model="layered", user=user, messages=[*history, again])
    stored = ["My dog is called Rex.", "Hello Rex.", "And now?", "Hello Rex."]
    assert backend.transcript(user) == stored
    backend.say(user, "What is my dog called?")
    assert "herring" not in str(backend.model.requests[-1].messages)
