"""Traces as a collector sees them, from a service that is run as users run it."""

import json
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest

from tests.openai_faults import Fault
from tests.openai_server import OpenAIServer
from tests.service.metrics import figure
from tests.service.observability.otlp_collector import Collector, Seen, collecting
from tests.services import running_service

_TRACE, _PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
_TRACEPARENT = {"traceparent": f"00-{_TRACE}-{_PARENT}-01"}
Traced: TypeAlias = Callable[..., AbstractContextManager[tuple[httpx.Client, Collector]]]


@pytest.fixture
def traced(model: OpenAIServer, tmp_path: Path) -> Traced:
    """Starts a service that exports to a collector; all is there once it has ended."""

    @contextmanager
    def start(**more: str) -> Generator[tuple[httpx.Client, Collector]]:
        with collecting() as collector:
            settings = {
                "ONIONSKIN_MODEL_BASE_URL": model.base_url,
                "ONIONSKIN_MODEL": "test-model",
                "ONIONSKIN_MODEL_RETRIES": "0",
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
                "FASTAPI_OTEL_AUTO_CONFIGURE": "true",  # of no effect: its spans hold paths
            }
            with (
                running_service(tmp_path / "data", **settings | more) as service,
                service.client() as client,
            ):
                yield client, collector

    return start


def _say(client: httpx.Client, message: str = "Hello.", **more: Any) -> httpx.Response:
    body = {"user_id": "canary-user", "message": message, **more}
    return client.post("/v1/chat", json=body, headers=_TRACEPARENT)


def _messages(span: Seen, name: str) -> list[tuple[str, str]]:
    found = json.loads(str(span.attributes[f"gen_ai.{name}.messages"]))
    return [(one["role"], one["parts"][0]["content"]) for one in found]


@pytest.mark.parametrize("stream", [False, True])
def test_a_turn_is_a_trace_of_its_stages(traced: Traced, stream: bool) -> None:
    with traced() as (client, collector):
        _say(client, "My dog is Biscuit.", stream=stream).raise_for_status()
        session = client.get("/v1/users/canary-user/sessions").json()["sessions"][0]
        client.get("/healthz")
        client.get("/metrics")
    request = collector.only("POST /v1/chat")
    assert (request.trace_id, request.parent_id, request.kind) == (_TRACE, _PARENT, "SERVER")
    assert request.resource["service.name"] == "onionskin"
    attributes = request.attributes
    assert (attributes["http.route"], attributes["http.response.status_code"]) == ("/v1/chat", 200)
    assert (attributes["onionskin.profile"], attributes["onionskin.outcome"]) == (
        "layered",
        "stored",
    )
    stages = ["search_memory", "prompt", "chat test-model", "remember"]
    assert [name for name in collector.children(request) if "job" not in name] == stages
    recall = collector.only("search_memory")
    assert {"snapshot"} < set(collector.children(recall))
    assert any(name.startswith("embeddings ") for name in collector.children(recall))
    assert "commit" in collector.children(collector.only("remember"))
    assert recall.attributes["gen_ai.operation.name"] == "search_memory"
    assert recall.attributes["gen_ai.memory.store.id"] == attributes["enduser.pseudo.id"]
    assert recall.attributes["gen_ai.memory.record.count"] == 0
    call = collector.only("chat test-model")
    assert call.kind == "CLIENT"
    said = call.attributes
    assert said["gen_ai.operation.name"] == "chat"
    assert said["gen_ai.provider.name"] == "openai"
    assert said["gen_ai.request.model"] == said["gen_ai.response.model"] == "test-model"
    assert said["gen_ai.conversation.id"] == session["session_id"]
    assert said["gen_ai.response.finish_reasons"] == ["stop"]
    assert min(_tokens(call)) > 0
    assert ("gen_ai.response.time_to_first_chunk" in said) is stream
    assert not any(span.failed for span in collector.spans)
    assert not {"GET /healthz", "GET /metrics"} & {span.name for span in collector.spans}


def _tokens(call: Seen) -> list[int]:
    kinds = ("input", "output")
    return [int(str(call.attributes[f"gen_ai.usage.{kind}_tokens"])) for kind in kinds]


@pytest.mark.parametrize("content", [False, True])
def test_texts_are_in_traces_if_they_are_wanted_and_users_never(
    traced: Traced, content: bool
) -> None:
    with traced(ONIONSKIN_OTEL_CONTENT=str(content)) as (client, collector):
        _say(client, "The canary-text sings.").raise_for_status()
        _say(client, "And the canary-text?", stream=True).raise_for_status()
        home = "/v1/users/canary-user/memories"
        client.post(home, json={"content": "canary-text"}).raise_for_status()
        client.post(f"{home}/search", json={"query": "canary-text"}).raise_for_status()
        client.get(f"{home}/canary-text", params={"canary-user": "canary-text"})
    assert b"canary-user" not in collector.raw
    assert (b"canary-text" in collector.raw) is content
    if content:
        call = collector.named("chat test-model")[1]
        assert _messages(call, "input")[0][0] == "system"
        assert _messages(call, "input")[-1][1].endswith("And the canary-text?")
        ((role, reply),) = _messages(call, "output")
        assert (role, reply[-20:]) == ("assistant", "And the canary-text?")
        search = collector.named("search_memory")[-1].attributes
        assert search["gen_ai.memory.query.text"] == "canary-text"
        (found,) = json.loads(str(search["gen_ai.memory.records"]))
        assert (found["content"], found["score"] > 0) == ("canary-text", True)


def test_what_is_done_with_memories_bears_the_conventions_names(traced: Traced) -> None:
    with traced() as (client, collector):
        home = "/v1/users/canary-user/memories"
        kept = client.post(home, json={"content": "She likes tea."}).json()["id"]
        client.post(home, json={"content": "Tea.", "topic": "drink"}).raise_for_status()
        one = f"{home}/{kept}"
        client.patch(one, json={"content": "She likes coffee."}).raise_for_status()
        client.post(f"{one}/promote").raise_for_status()
        client.post(f"{home}/search", json={"query": "tea"}).raise_for_status()
        client.post(f"{home}/archive", json={"older_than_days": 0}).raise_for_status()
        client.delete(one).raise_for_status()
        client.post(f"{one}/restore").raise_for_status()
        client.post(f"{home}/delete", json={"filter": {}}).raise_for_status()
        assert client.delete(f"{home}/m_0000000000000000").status_code == 404
    spans = [span for span in collector.spans if span.name.endswith("_memory")]
    operations = [
        (
            str(span.attributes["gen_ai.operation.name"]),
            span.attributes.get("gen_ai.memory.record.id"),
            span.attributes["gen_ai.memory.record.count"],
        )
        for span in spans
    ]
    assert [name for name, *_ in operations] == [span.name for span in spans]
    assert operations[:2] == [("create_memory", None, 1), ("upsert_memory", None, 1)]
    assert operations[2:4] == [("update_memory", kept, 1)] * 2
    assert operations[4:6] == [("search_memory", None, 2), ("update_memory", None, 2)]
    assert operations[6:8] == [("delete_memory", kept, 1), ("update_memory", kept, 1)]
    assert operations[8][0] == "delete_memory"
    assert (spans[-1].failed, spans[-1].attributes["error.type"]) == (True, "unknown_memory")
    stores = {span.attributes["gen_ai.memory.store.id"] for span in spans}
    assert len(stores) == 1


def test_what_fails_says_so(traced: Traced, model: OpenAIServer) -> None:
    with traced(ONIONSKIN_REQUEST_TIMEOUT="1") as (client, collector):
        model.faults.append(Fault(status=500))
        assert _say(client).status_code == 502
        model.faults.append(Fault(hang=True))
        assert _say(client).status_code == 504
    failed, stopped = collector.named("chat test-model")
    assert (failed.failed, failed.attributes["error.type"]) == (True, "model_failed")
    assert stopped.attributes["error.type"] == "cancelled"
    requests = collector.named("POST /v1/chat")
    assert [span.attributes["error.type"] for span in requests] == ["502", "504"]
    outcomes = [span.attributes["onionskin.outcome"] for span in requests]
    assert outcomes == ["model_failed", "cancelled"]


def test_a_fold_is_in_the_trace_of_the_turn_that_made_it_due(traced: Traced) -> None:
    with traced() as (client, collector):
        for number in range(40):
            _say(client, f"Event number {number} of my life.").raise_for_status()
    fold = collector.named("job fold")[0]
    assert fold.trace_id == _TRACE
    assert collector.children(fold)[0] == "chat test-model"
    (call,) = [span for span in collector.spans if span.parent_id == fold.id][:1]
    assert call.attributes["onionskin.purpose"] == "fold"


def test_what_is_drawn_from_a_session_is_a_job_with_its_call_and_its_write(
    traced: Traced, model: OpenAIServer, tmp_path: Path
) -> None:
    profiles = tmp_path / "profiles.toml"
    profiles.write_text(
        '[profiles.learning]\nlayers = ["window", "facts"]\n'
        "extraction = { enabled = true, messages = 2, quiet_seconds = 1 }\n"
    )
    model.reply = lambda asked: '{"memories": []}' if "response_format" in asked.body else "Yes."
    settings = {"ONIONSKIN_PROFILES": str(profiles), "ONIONSKIN_PROFILE": "learning"}
    with traced(**settings) as (client, collector):
        _say(client, "My dog is Biscuit.").raise_for_status()
        _say(client, "My cat is Tom.").raise_for_status()
        deadline = time.monotonic() + 20
        while not figure(client, 'onionskin_extractions_total{outcome="empty"}'):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    job = next(span for span in collector.named("job extract") if collector.children(span))
    assert {"chat test-model", "upsert_memory"} <= set(collector.children(job))
