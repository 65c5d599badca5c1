"""Several worker processes on one Redis: any of them serves any user, and none is behind."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from onionskin.memory.store.redis.embedded import EmbeddedRedis
from tests.services import read_transcript, running_service

_TURNS = 30


@pytest.fixture
def workers(private_redis: EmbeddedRedis, tmp_path: Path) -> Iterator[list[httpx.Client]]:
    with ExitStack() as stack:
        clients: list[httpx.Client] = []
        for number in range(2):
            settings = {"ONIONSKIN_REDIS_URL": private_redis.url}
            service = stack.enter_context(running_service(tmp_path / str(number), **settings))
            clients.append(stack.enter_context(service.client()))
        yield clients


def _say(client: httpx.Client, message: str, user: str = "alice") -> httpx.Response:
    response = client.post("/v1/chat", json={"user_id": user, "message": message})
    return response.raise_for_status()


def test_a_worker_recalls_what_was_said_to_another(workers: list[httpx.Client]) -> None:
    one, two = workers
    session_id = _say(one, "The boat is called Delphi.").json()["session_id"]
    assert "Delphi" in _say(two, "What is the boat called?").json()["reply"]
    for number in range(8):
        _say(workers[number % 2], f"Idle talk {number}.")
    two.post(f"/v1/users/alice/sessions/{session_id}/close").raise_for_status()
    for client in workers:
        assert "Delphi" in _say(client, "What is the boat called?").json()["reply"]
    one.delete(f"/v1/users/alice/sessions/{session_id}").raise_for_status()
    for client in workers:
        vector = _say(client, "Which boat do I mean?").json()["memory"][3]
        assert session_id not in {hit["session_id"] for hit in vector["recalled"]}


def test_turns_at_once_on_two_workers_are_all_stored_whole(workers: list[httpx.Client]) -> None:
    _say(workers[0], "The first.")

    def talk(number: int) -> None:
        for turn in range(_TURNS):
            _say(workers[number % 2], f"Talker {number}, turn {turn}.")

    talkers = [threading.Thread(target=talk, args=(number,)) for number in range(4)]
    for talker in talkers:
        talker.start()
    for talker in talkers:
        talker.join(60)
    said = read_transcript(workers[0], "alice")
    assert len(said) == 2 * (1 + 4 * _TURNS)
    questions, answers = said[::2], said[1::2]
    assert all(answer.startswith("Noted.") for answer in answers)
    for number in range(4):
        turns = [text for text in questions if text.startswith(f"Talker {number},")]
        assert turns == [f"Talker {number}, turn {turn}." for turn in range(_TURNS)]
    session = workers[1].get("/v1/users/alice/sessions").json()["sessions"][0]
    assert session["messages"] == len(said)
    assert 0 < session["folded_upto"] < len(said)
