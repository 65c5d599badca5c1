"""Rate limits and budgets in OpenAI's format: in headers and in errors."""

import re
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import openai
import pytest
from openai import OpenAI

from onionskin.service.limits.headers import Quota
from tests.openai_server import OpenAIServer
from tests.service.conftest import Backend, running_backend
from tests.service.openai.sdk_calls import ask, from_user

_LIMITS = {
    "ONIONSKIN_RATE_PRINCIPAL": "1000/hour",
    "ONIONSKIN_RATE_USER": "20/hour",
    "ONIONSKIN_BUDGET_USER_TOKENS": "20000",
    "ONIONSKIN_BUDGET_TENANT_CALLS": "100",
}


@pytest.fixture(scope="module")
def limited(model: OpenAIServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with running_backend(model, tmp_path_factory.mktemp("limited"), **_LIMITS) as found:
        yield found


@pytest.fixture(scope="module")
def client(limited: Backend) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{limited.service.url}/v1", api_key="any", max_retries=0) as found:
        yield found


def _ask_for_quotas(client: OpenAI, user: str, **more: Any) -> dict[str, str]:
    create: Any = client.chat.completions.with_raw_response.create
    answer = create(model="layered", user=user, messages=[from_user("Hello.")], **more)
    if more.get("stream"):
        list(answer.parse())
    return _quotas(dict(answer.headers))


def _quotas(headers: dict[str, str]) -> dict[str, str]:
    start = "x-ratelimit-"
    return {name.removeprefix(start): headers[name] for name in headers if name.startswith(start)}


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_names_what_is_left(client: OpenAI, stream: bool) -> None:
    user = f"q1-{stream}"
    first, second = (_ask_for_quotas(client, user, stream=stream) for _ in range(2))
    assert (first["limit-requests"], first["remaining-requests"]) == ("20", "19")
    assert second["remaining-requests"] == "18"
    assert re.fullmatch(r"(1h0m0s|\d+m\d+s|\d+s|\d+ms)", second["reset-requests"])
    assert (first["limit-tokens"], first["remaining-tokens"]) == ("20000", "20000")
    assert re.fullmatch(r"(\d+h)?(\d+m)?\d+s", first["reset-tokens"])
    assert set(first) == {
        f"{what}-{kind}"
        for what in ("limit", "remaining", "reset")
        for kind in ("requests", "tokens")
    }


def test_tokens_that_were_used_are_gone(client: OpenAI) -> None:
    used = ask(client, "q2", from_user("Hello.")).usage.total_tokens
    left: list[int] = []
    while len(left) < 15 and left[-1:] in ([], [20_000]):  # they are counted afterwards
        time.sleep(0.1 * len(left))
        left.append(int(_ask_for_quotas(client, "q2")["remaining-tokens"]))
    assert 20_000 - 15 * used <= left[-1] <= 20_000 - used


def test_one_too_many_is_a_rate_limit_error_that_says_when(client: OpenAI) -> None:
    remaining = [int(_ask_for_quotas(client, "q3")["remaining-requests"]) for _ in range(20)]
    assert remaining == list(reversed(range(20)))
    with pytest.raises(openai.RateLimitError) as caught:
        _ask_for_quotas(client, "q3")
    assert (caught.value.type, caught.value.code) == ("rate_limit_error", "rate_limited")
    headers = caught.value.response.headers
    quotas = _quotas(dict(headers))
    assert (quotas["limit-requests"], quotas["remaining-requests"]) == ("20", "0")
    assert 0 < int(headers["retry-after"]) <= 3600
    assert _ask_for_quotas(client, "q4")["remaining-requests"] == "19"


def test_other_routes_tell_it_too(limited: Backend) -> None:
    sessions = limited.client.get("/v1/users/q5/sessions")
    assert _quotas(dict(sessions.headers))["remaining-requests"] == "19"
    assert _quotas(dict(limited.say("q5", "Hello.").headers))["remaining-requests"] == "18"
    models = _quotas(dict(limited.client.get("/v1/models").headers))
    assert models["limit-requests"] == "1000"
    assert int(models["remaining-requests"]) < 1000
    assert _quotas(dict(limited.client.get("/healthz").headers)) == {}


def test_without_limits_there_are_no_headers(backend: Backend) -> None:
    assert _quotas(dict(backend.say("q6", "Hello.").headers)) == {}


@pytest.mark.parametrize(
    ("span", "written"),
    [(0, "0ms"), (0.3201, "321ms"), (1, "1s"), (59.5, "1m0s"), (360, "6m0s"), (3605, "1h0m5s")],
)
def test_times_are_written_as_openai_writes_them(span: float, written: str) -> None:
    quota = Quota("tokens", 10, 1, timedelta(seconds=span))
    assert quota.headers()["x-ratelimit-reset-tokens"] == written
