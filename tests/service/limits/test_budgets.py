"""Budgets: so much of the model in a day, for a user and for a tenant."""

import time
from pathlib import Path

import httpx

from tests.services import running_service


def _say(client: httpx.Client, user: str) -> httpx.Response:
    return client.post("/v1/chat", json={"user_id": user, "message": "Hello there."})


def _refused(client: httpx.Client, user: str) -> httpx.Response:
    """What is counted is counted after the answer, so it may take a moment."""
    deadline = time.monotonic() + 10
    while (answer := _say(client, user)).is_success:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return answer


def test_a_spent_budget_waits_for_the_next_day(tmp_path: Path) -> None:
    settings = {"ONIONSKIN_MODEL": "offline", "ONIONSKIN_BUDGET_USER_TOKENS": "20"}
    with running_service(tmp_path, **settings) as service, service.client() as client:
        assert _say(client, "ann").is_success
        refused = _refused(client, "ann")
        assert (refused.status_code, refused.json()["code"]) == (429, "budget_spent")
        assert 0 < int(refused.headers["Retry-After"]) <= 86_400
        assert _say(client, "bob").is_success
        assert client.get("/v1/users/ann/sessions").is_success


def test_a_tenants_budget_counts_all_its_users(tmp_path: Path) -> None:
    settings = {"ONIONSKIN_MODEL": "offline", "ONIONSKIN_BUDGET_TENANT_CALLS": "2"}
    with running_service(tmp_path, **settings) as service, service.client() as client:
        assert _say(client, "ann").is_success
        assert _say(client, "bob").is_success
        assert _refused(client, "cem").json()["code"] == "budget_spent"
