"""Seeing inside: figures, and request ids."""

import re

from tests.conftest import repository
from tests.service.conftest import Backend
from tests.service.metrics import figure


def test_figures_tell_of_turns_stages_requests_and_views(backend: Backend) -> None:
    client, name = backend.client, 'onionskin_turns_total{outcome="stored",profile="layered"}'
    had = figure(client, name)
    backend.say("f1", "My locker has the number 4711.").raise_for_status()
    assert figure(client, name) == had + 1
    for stage in ("recall", "prompt", "think", "remember"):
        assert figure(client, f'onionskin_stage_seconds_count{{stage="{stage}"}}') >= 1
    after = client.get("/metrics").text
    assert "\nonionskin_view_messages " in after
    assert "\nonionskin_jobs_waiting " in after
    assert 'route="/v1/chat",status="200"' in after
    assert "f1" not in after
    assert "4711" not in after


def test_failed_turns_are_counted_by_their_error(backend: Backend) -> None:
    backend.say("f2", "Hello.", profile="layered", session_id="s_0000000000000000")
    backend.model.reply = lambda _: ""
    assert backend.say("f2", "Hello.").status_code == 502
    name = 'onionskin_turns_total{outcome="model_failed",profile="layered"}'
    assert figure(backend.client, name) >= 1
    assert 'status="404"' in backend.client.get("/metrics").text


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


def test_every_metric_of_the_guide_and_the_dashboard_is_there(backend: Backend) -> None:
    backend.say("f4", "Hello.").raise_for_status()
    text = backend.client.get("/metrics").text
    there = set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))
    docs = repository() / "docs"
    for page in ("operations.md", "grafana-dashboard.json"):
        for name in set(re.findall(r"onionskin_[a-z_]+", (docs / page).read_text())):
            assert re.sub(r"_(total|bucket|sum|count)$", "", name) in there, (page, name)
