"""Seeing inside: figures, request ids, and a log without texts and names."""

import json
import re
from pathlib import Path

from tests.conftest import repository
from tests.service.conftest import Backend
from tests.services import running_service


def _figure(text: str, name: str) -> float:
    found = re.findall(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert len(found) == 1, (name, text)
    return float(found[0])


def test_figures_tell_of_turns_stages_requests_and_views(backend: Backend) -> None:
    before = backend.client.get("/metrics").text
    backend.say("f1", "My locker has the number 4711.").raise_for_status()
    after = backend.client.get("/metrics").text
    name = 'strata_turns_total{outcome="stored",profile="layered"}'
    had = _figure(before, name) if name in before else 0
    assert _figure(after, name) == had + 1
    for stage in ("recall", "think", "remember"):
        assert _figure(after, f'strata_stage_seconds_count{{stage="{stage}"}}') >= 1
    assert _figure(after, "strata_view_messages") >= 0
    assert _figure(after, "strata_jobs_waiting") >= 0
    assert 'route="/v1/chat",status="200"' in after
    assert "f1" not in after
    assert "4711" not in after


def test_failed_turns_are_counted_by_their_error(backend: Backend) -> None:
    backend.say("f2", "Hello.", profile="layered", session_id="s_0000000000000000")
    backend.model.reply = lambda _: ""
    assert backend.say("f2", "Hello.").status_code == 502
    text = backend.client.get("/metrics").text
    assert _figure(text, 'strata_turns_total{outcome="model_failed",profile="layered"}') >= 1
    assert 'status="404"' in text


def test_a_request_id_comes_back(backend: Backend) -> None:
    url = "/v1/users/f3/sessions"
    given = backend.client.get(url, headers={"X-Request-Id": "mine-1"})
    assert given.headers["X-Request-Id"] == "mine-1"
    drawn = {backend.client.get(url).headers["X-Request-Id"] for _ in range(3)}
    assert len(drawn) == 3
    for bad in ("", "x" * 129, "two words", "ümlaut".encode()):
        answer = backend.client.get(url, headers=[(b"X-Request-Id", bad)])  # pyright: ignore[reportArgumentType]
        assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["X-Request-Id"])
    missing = backend.client.get("/v1/nowhere", headers={"X-Request-Id": "mine-2"})
    assert (missing.status_code, missing.headers["X-Request-Id"]) == (404, "mine-2")


def test_the_log_has_no_texts_and_no_names(tmp_path: Path) -> None:
    settings = {
        "STRATA_MODEL": "offline",
        "STRATA_LOG_LEVEL": "debug",
        "STRATA_LOG_FORMAT": "json",
    }
    log = tmp_path / "log"
    with (
        log.open("w") as file,
        running_service(tmp_path / "data", file, **settings) as service,
        service.client() as client,
    ):
        for user in ("canary-user", "canary user/with slash"):
            body = {"user_id": user, "message": "The canary-text sings."}
            client.post("/v1/chat", json=body, headers={"X-Request-Id": "seen"})
        client.post("/v1/users/canary-user/memories", json={"content": "canary-text"})
        client.post("/v1/users/canary-user/import", content=b'{"canary-text')
        client.get("/v1/users/canary-user/sessions", params={"cursor": "canary-text"})
        client.request("POST", "/v1/chat", content=b'{"canary-text": ')
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    assert len(requests) == 6
    assert {line["route"] for line in requests} >= {"/v1/chat", "/v1/users/{user_id}/memories"}
    assert requests[0]["request_id"] == "seen"
    assert requests[0]["milliseconds"] > 0
    assert "canary" not in log.read_text()


def test_every_metric_of_the_guide_and_the_dashboard_is_there(backend: Backend) -> None:
    backend.say("f4", "Hello.").raise_for_status()
    text = backend.client.get("/metrics").text
    there = set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))
    docs = repository() / "docs"
    for page in ("operations.md", "grafana-dashboard.json"):
        for name in set(re.findall(r"strata_[a-z_]+", (docs / page).read_text())):
            assert re.sub(r"_(total|bucket|sum|count)$", "", name) in there, (page, name)
