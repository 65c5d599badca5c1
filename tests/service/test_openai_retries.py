"""Answers get lost on the way, and OpenAI's SDK asks again by itself: one turn is stored."""

import itertools
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai.types.chat import ChatCompletionMessageParam as Param

from memory.store.embedded import EmbeddedRedis
from tests.openai_faults import Fault
from tests.openai_server import OpenAIServer
from tests.service.conftest import Backend
from tests.service.losing import Loss, losing_relay
from tests.service.openai_talk import (
    EagerOpenAI,
    answers_asked,
    ask,
    from_assistant,
    from_user,
    transcripts,
)
from tests.services import running_service

_LOST = int(os.environ.get("LOST_ANSWERS", "100"))
"""For a longer run: `LOST_ANSWERS=1000 pytest tests/service/test_openai_retries.py`."""


def _every_second(number: int) -> Loss:
    if number % 2:
        return None
    return "hang up" if number % 4 else "500"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_each_lost_answer_is_given_again_and_stored_once(backend: Backend, stream: bool) -> None:
    user, asked, history = f"lost-{stream}", len(backend.model.requests), list[Param]()
    told: list[str] = []
    backend.model.reply = _numbered()
    with (
        losing_relay(backend.service.url, loses=_every_second) as relay,
        EagerOpenAI(base_url=f"{relay.url}/v1", api_key="any", max_retries=3) as client,
    ):
        for number in range(_LOST):
            history = history[-20:] if _LOST > 100 else history  # long runs send the end alone
            said = from_user(f"Turn {number}.")
            answer = ask(client, user, *history, said, stream=stream)
            text = _streamed(answer) if stream else answer.choices[0].message.content
            history += [said, from_assistant(text)]
            told += [f"Turn {number}.", text]
        assert relay.lost == _LOST
    session, stored = backend.sessions(user), _transcript(backend, user)
    assert len(session) == 1
    assert stored == told
    assert answers_asked(backend, asked) == _LOST


def _streamed(chunks: Any) -> str:
    return "".join(one.choices[0].delta.content or "" for one in chunks if one.choices)


def _numbered() -> Callable[[object], str]:
    """Answers of which no two are the same."""
    numbers = itertools.count()
    return lambda _: f"Answer {next(numbers)}."


def _transcript(backend: Backend, user: str) -> list[str]:
    (session,), said = backend.sessions(user), list[str]()
    url = f"/v1/users/{user}/sessions/{session['session_id']}/messages"
    cursor: dict[str, str] = {}
    while True:
        page = backend.client.get(url, params={"limit": "200"} | cursor).json()
        said += [one["content"] for one in page["messages"]]
        if not page["next_cursor"]:
            return said
        cursor = {"cursor": page["next_cursor"]}


@pytest.fixture
def workers(
    private_redis: EmbeddedRedis, model: OpenAIServer, tmp_path: Path
) -> Iterator[list[Backend]]:
    settings = {
        "STRATA_REDIS_URL": private_redis.url,
        "STRATA_MODEL_BASE_URL": model.base_url,
        "STRATA_MODEL": "test-model",
        "STRATA_MODEL_RETRIES": "0",
    }
    with ExitStack() as stack:
        found: list[Backend] = []
        for number in range(2):
            service = stack.enter_context(running_service(tmp_path / str(number), **settings))
            client = stack.enter_context(service.client())
            found.append(Backend(service, client, model))
        yield found


def test_a_retry_that_reaches_another_worker_finds_the_answer(workers: list[Backend]) -> None:
    asked = len(workers[0].model.requests)
    urls = [one.service.url for one in workers]
    with (
        losing_relay(*urls, loses=_every_second) as relay,
        EagerOpenAI(base_url=f"{relay.url}/v1", api_key="any", max_retries=3) as client,
    ):
        for number in range(20):
            ask(client, "wanderer", from_user(f"Conversation {number}."))
        assert relay.lost == 20
    said = transcripts(workers[0], "wanderer")
    assert len(said) == 20
    assert all(len(one) == 2 for one in said)
    assert answers_asked(workers[0], asked) == 20


def test_tries_at_once_on_two_workers_are_one_turn(workers: list[Backend]) -> None:
    asked = len(workers[0].model.requests)
    workers[0].model.fault = Fault(delay=timedelta(seconds=1), purpose="completions")
    with ThreadPoolExecutor(6) as pool:
        tries = [pool.submit(_post, workers[n % 2], "racer", retry=n) for n in range(6)]
        answers = [one.result().json() for one in tries]
    assert len({one["metadata"]["turn_id"] for one in answers}) == 1
    assert len({one["choices"][0]["message"]["content"] for one in answers}) == 1
    assert len(transcripts(workers[0], "racer")) == 1
    assert answers_asked(workers[0], asked) == 1


def test_the_same_request_at_once_is_one_turn_even_without_a_count(backend: Backend) -> None:
    asked = len(backend.model.requests)
    backend.model.fault = Fault(delay=timedelta(seconds=0.4), purpose="completions")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(_post, backend, "twice")
        time.sleep(0.1)
        answers = [first.result(), pool.submit(_post, backend, "twice").result()]
    assert [one.status_code for one in answers] == [200, 200]
    assert sorted(map(len, transcripts(backend, "twice"))) == [2, 2]  # the first had been told
    backend.model.fault = Fault(delay=timedelta(seconds=0.4), purpose="completions")
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(_post, backend, "at-once") for _ in range(2)]
        turns = {one.result().json()["metadata"]["turn_id"] for one in both}
    assert len(turns) == 1
    assert answers_asked(backend, asked) == 3


def test_a_client_that_gave_up_gets_the_answer_when_it_asks_again(backend: Backend) -> None:
    asked = len(backend.model.requests)
    backend.model.faults.append(Fault(delay=timedelta(seconds=0.4), purpose="completions"))
    with pytest.raises(httpx.ReadTimeout):
        _post(backend, "impatient", timeout=0.2)
    assert _post(backend, "impatient").is_success
    assert transcripts(backend, "impatient") == [["Yes.", transcripts(backend, "impatient")[0][1]]]
    assert answers_asked(backend, asked) == 1


def test_who_got_the_answer_and_asks_the_same_again_wants_another(backend: Backend) -> None:
    asked = len(backend.model.requests)
    for _ in range(3):
        assert _post(backend, "again").is_success
    assert len(transcripts(backend, "again")) == 3
    assert answers_asked(backend, asked) == 3


def test_a_retry_of_a_call_of_a_tool_does_not_wait_for_a_turn(backend: Backend) -> None:
    call = (
        b'{"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [{"index"'
        b': 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": null, '
        b'"tool_calls": [{"id": "c1", "type": "function", "function": {"name": "clock", '
        b'"arguments": "{}"}}]}}]}'
    )
    for retry in (0, 1):
        backend.model.faults.append(Fault(body=call, purpose="completions"))
        answer = _post(backend, "caller", retry=retry).json()["choices"][0]
        assert answer["message"]["tool_calls"][0]["function"]["name"] == "clock"
    assert backend.sessions("caller") == []
    assert not backend.model.faults


def _post(backend: Backend, user: str, *, retry: int = 0, timeout: float = 30) -> httpx.Response:
    body = {"model": "layered", "user": user, "messages": [from_user("Yes.")]}
    headers = {"x-stainless-retry-count": str(retry)}
    url = f"{backend.service.url}/v1/chat/completions"
    return httpx.post(url, json=body, headers=headers, timeout=timeout)
