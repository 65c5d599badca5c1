"""SIGTERM and SIGKILL, with work under way: it is finished, handed back or taken over."""

import json
import os
import signal
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from onionskin.memory.store.redis.embedded import EmbeddedRedis
from tests.conftest import repository
from tests.openai_server import Fault, OpenAIServer
from tests.polling import until
from tests.service.events import read_events
from tests.services import environment, run_command, running_service, running_worker, started

_EAGER = """
[profiles.layered]
layers = ["window", "summary"]
[profiles.layered.window]
keep_pairs = 1
[profiles.layered.summary]
fold_messages = 1
"""
_LONG = timedelta(seconds=60)


@pytest.fixture
def settings(model: OpenAIServer, private_redis: EmbeddedRedis, tmp_path: Path) -> dict[str, str]:
    """Services before one model and one Redis, which fold after the second turn."""
    profiles = tmp_path / "profiles.toml"
    profiles.write_text(_EAGER)
    return {
        "ONIONSKIN_REDIS_URL": private_redis.url,
        "ONIONSKIN_MODEL_BASE_URL": model.base_url,
        "ONIONSKIN_MODEL": "test-model",
        "ONIONSKIN_MODEL_RETRIES": "0",
        "ONIONSKIN_PROFILES": str(profiles),
    }


def _say(client: httpx.Client, message: str) -> None:
    client.post("/v1/chat", json={"user_id": "alice", "message": message}).raise_for_status()


def _session(client: httpx.Client) -> dict[str, Any]:
    return client.get("/v1/users/alice/sessions").json()["sessions"][0]


def _folds(model: OpenAIServer) -> int:
    return sum("running summary" in one.messages[0][1] for one in model.requests if one.messages)


def _make_a_fold_due(client: httpx.Client, model: OpenAIServer, fault: Fault) -> None:
    """Two turns; the fold after them meets a fault."""
    before = _folds(model)
    _say(client, "The boat is called Delphi.")
    model.faults.extend([Fault(), fault])
    _say(client, "It lies in Porto.")
    until(lambda: _folds(model) > before)


def _onionskin(*arguments: str, **settings: str) -> str:
    return run_command(
        arguments, environment=environment(**settings), folder=repository(), check=True
    ).stdout


def test_sigterm_lets_a_job_finish_within_the_bound(
    settings: dict[str, str], model: OpenAIServer, tmp_path: Path
) -> None:
    with running_service(tmp_path, **settings) as service, service.client() as client:
        _make_a_fold_due(client, model, Fault(delay=timedelta(milliseconds=700)))
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(20) == 0
    idle = {**settings, "ONIONSKIN_JOBS": "elsewhere"}
    with running_service(tmp_path, **idle) as service, service.client() as client:
        assert _session(client)["folded_upto"] == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_before_the_first_request_stops_redis_too(
    tmp_path: Path, number: signal.Signals
) -> None:
    pid_file = tmp_path / "data" / "redis.pid"
    arguments = ["serve", "--port", "0", "--data-dir", str(pid_file.parent)]
    with started(arguments, environment=environment(), folder=tmp_path) as process:
        until(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
        process.send_signal(number)
        assert process.wait(30) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_sigterm_hands_back_what_does_not_finish(
    settings: dict[str, str], model: OpenAIServer, tmp_path: Path
) -> None:
    held = {**settings, "ONIONSKIN_DRAIN_TIMEOUT": "0.2", "ONIONSKIN_JOB_HOLD": "600"}
    with running_service(tmp_path, **held) as service, service.client() as client:
        _make_a_fold_due(client, model, Fault(delay=_LONG))
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(20) == 0
    with running_service(tmp_path, **held) as service, service.client() as client:
        until(lambda: _session(client)["folded_upto"] == 2)


def test_what_a_killed_worker_was_at_is_done_by_one_that_runs(
    settings: dict[str, str], model: OpenAIServer, tmp_path: Path
) -> None:
    held = {**settings, "ONIONSKIN_JOB_HOLD": "1", "ONIONSKIN_CLOSE_AFTER": "0"}
    with (
        running_service(tmp_path, **held) as other,
        running_service(tmp_path, **held) as killed,
        killed.client() as client,
    ):
        _make_a_fold_due(client, model, Fault(delay=_LONG))
        killed.kill()
        with other.client() as another:
            until(lambda: _session(another)["folded_upto"] == 2)


def test_open_streams_finish_after_sigterm(
    settings: dict[str, str], model: OpenAIServer, tmp_path: Path
) -> None:
    model.faults.append(Fault(token_delay=timedelta(milliseconds=100)))
    body = {"user_id": "alice", "message": "Tell me a story of ten words.", "stream": True}
    with running_service(tmp_path, **settings) as service, service.client() as client:
        names: list[str] = []
        with client.stream("POST", "/v1/chat", json=body) as response:
            for name, _ in read_events(response.iter_lines()):
                if name == "token" and "token" not in names:
                    service.process.send_signal(signal.SIGTERM)
                names.append(name)
        assert names[-1] == "done"
        assert service.process.wait(20) == 0


def test_a_stream_that_does_not_finish_within_the_bound_is_cut_off_and_its_message_kept(
    settings: dict[str, str], model: OpenAIServer, tmp_path: Path
) -> None:
    model.faults.append(Fault(token_delay=_LONG))
    body = {"user_id": "alice", "message": "Tell me a story of ten words.", "stream": True}
    bound = {**settings, "ONIONSKIN_DRAIN_TIMEOUT": "0.5"}
    with running_service(tmp_path, **bound) as service, service.client() as client:
        names: list[str] = []

        def listen() -> None:
            try:
                with client.stream("POST", "/v1/chat", json=body) as response:
                    names.extend(name for name, _ in read_events(response.iter_lines()))
            except httpx.HTTPError:
                names.append("cut off")

        before = len(model.requests)
        listening = threading.Thread(target=listen)
        listening.start()
        until(lambda: len(model.requests) > before)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(20) == 0
        listening.join(10)
        assert "done" not in names
    with running_service(tmp_path, **bound) as service, service.client() as client:
        url = f"/v1/users/alice/sessions/{_session(client)['session_id']}/messages"
        said, *answers = client.get(url).json()["messages"]
        assert said["content"] == body["message"]
        assert all(answer["interrupted"] for answer in answers)


def test_a_service_leaves_its_jobs_to_a_worker(
    settings: dict[str, str], model: OpenAIServer, tmp_path: Path
) -> None:
    before = _folds(model)
    chosen = {**settings, "ONIONSKIN_JOBS": "elsewhere"}
    with running_service(tmp_path, **chosen) as service, service.client() as client:
        for number in range(3):
            _say(client, f"Line {number}.")
        assert _folds(model) == before
        with running_worker(tmp_path, **chosen) as worker, worker.client() as figures:
            until(lambda: _session(client)["folded_upto"])
            assert figures.get("/readyz").is_success
            metric = 'onionskin_job_runs_total{job="fold",outcome="done"}'
            until(lambda: metric in figures.get("/metrics").text)
            worker.process.send_signal(signal.SIGTERM)
            assert worker.process.wait(20) == 0
        assert client.get("/readyz").is_success


def test_what_was_given_up_is_listed_without_texts_and_tried_again(
    settings: dict[str, str], model: OpenAIServer, tmp_path: Path
) -> None:
    chosen = {**settings, "ONIONSKIN_JOB_ATTEMPTS": "1"}
    with running_service(tmp_path, **chosen) as service, service.client() as client:
        _make_a_fold_due(client, model, Fault(status=500))
        until(lambda: "onionskin_jobs_dead 1.0" in client.get("/metrics").text)
        listing = _onionskin("jobs", "list", "--json", **chosen)
        (given_up,) = json.loads(listing)
        assert (given_up["job"], given_up["user"], given_up["failures"]) == ("fold", "alice", 1)
        assert given_up["error"] == "model_failed"
        assert "Delphi" not in listing
        assert _session(client)["folded_upto"] == 0
        assert "1 job is due again" in _onionskin("jobs", "retry", given_up["id"], **chosen)
        until(lambda: _session(client)["folded_upto"] == 2)
        assert json.loads(_onionskin("jobs", "list", "--json", **chosen)) == []
        assert "0 jobs are dropped" in _onionskin("jobs", "drop", "--all", **chosen)
