"""`onionskin doctor` reports what works, what does not, and what to do."""

import json
from pathlib import Path
from typing import Any

import pytest

from onionskin.memory.store.redis.diagnostics import RedisFacts
from onionskin.memory.store.redis.embedded import EmbeddedRedis
from onionskin.service.cli.doctor import check_recall, check_redis
from tests.conftest import plain_client
from tests.openai_server import OpenAIServer
from tests.services import environment, run_command

_FACTS = RedisFacts("redis 8.2.1", True, "always", "", 1 << 20, 0, 0, 0.001, 0.0)


def _doctor(folder: Path, *options: str, **settings: str) -> tuple[int, dict[str, list[Any]]]:
    done = run_command(
        ["doctor", "--json", *options], environment=environment(**settings), folder=folder
    )
    found: dict[str, list[Any]] = {}
    for finding in json.loads(done.stdout)["findings"]:
        found.setdefault(finding["name"], []).append(finding)
    return done.returncode, found


def test_on_a_fresh_machine_all_is_well(tmp_path: Path) -> None:
    code, found = _doctor(tmp_path)
    assert code == 0
    assert set(found) == {
        *("python", "settings", "disk", "redis", "clock", "keys", "embedder", "recall", "model")
    }
    assert {finding["state"] for findings in found.values() for finding in findings} == {"ok"}
    assert "append-only file always" in found["redis"][0]["message"]
    assert "OPENAI_API_KEY" in found["model"][0]["advice"]


async def test_what_is_away_wrong_or_misspelt_is_reported(
    tmp_path: Path, private_redis: EmbeddedRedis, model: OpenAIServer
) -> None:
    client = plain_client(private_redis.url)
    await client.config_set("maxmemory-policy", "allkeys-lru")
    await client.aclose()
    code, found = _doctor(
        tmp_path,
        ONIONSKIN_REDIS_URL=private_redis.url,
        ONIONSKIN_MODEL_BASE_URL=model.base_url,
        ONIONSKIN_MODEL="test-model",
        ONIONSKIN_EMBEDDER="openai",
        ONIONSKIN_AUHT="keys",
    )
    assert code == 1
    assert [finding["state"] for finding in found["redis"]] == ["ok", "fail"]
    assert "allkeys-lru" in found["redis"][1]["message"]
    assert "test-model answered" in found["model"][0]["message"]
    assert "OPENAI_API_KEY" in found["embedder"][0]["message"]
    assert found["settings"][1]["advice"] == "Did you mean ONIONSKIN_AUTH?"
    assert "disk" not in found


def test_a_missing_kernel_is_reported() -> None:
    finding = check_recall(compiled=False)
    assert finding.state == "warn"
    assert "C compiler" in finding.advice


def test_a_redis_and_a_model_that_are_away_do_not_end_the_look(tmp_path: Path) -> None:
    away = {"ONIONSKIN_MODEL_BASE_URL": "http://127.0.0.1:1", "ONIONSKIN_MODEL_RETRIES": "0"}
    code, found = _doctor(tmp_path, ONIONSKIN_REDIS_URL="redis://127.0.0.1:1", **away)
    assert code == 1
    assert found["redis"][0]["state"] == found["model"][0]["state"] == "fail"
    assert found["embedder"][0]["state"] == "ok"
    code, found = _doctor(tmp_path, "--no-model", ONIONSKIN_REDIS_URL="redis://127.0.0.1:1", **away)
    assert found["model"][0]["message"].endswith("not asked")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ONIONSKIN_PORT", "x", "ONIONSKIN_PORT cannot be 'x'"),
        (
            "ONIONSKIN_PROFILE",
            "nope",
            "ONIONSKIN_PROFILE 'nope' is not one of the profiles: classic-buffer",
        ),
    ],
)
def test_settings_that_cannot_be_used_are_reported(
    tmp_path: Path, name: str, value: str, message: str
) -> None:
    code, found = _doctor(tmp_path, **{name: value})
    assert code == 1
    assert message in found["settings"][0]["message"]


@pytest.mark.parametrize(
    ("changed", "name", "message"),
    [
        ({"appends": False}, "redis", "no append-only file"),
        ({"fsync": "everysec"}, "redis", "append-only file everysec"),
        ({"max_bytes": 1 << 20}, "redis", "100% full"),
        ({"round_trip": 0.2}, "redis", "takes 200 ms"),
        ({"ahead": 60.0}, "clock", "60 s ahead of"),
        ({"ahead": -60.0}, "clock", "60 s behind"),
    ],
)
def test_what_a_redis_lacks_is_reported(changed: dict[str, Any], name: str, message: str) -> None:
    assert {finding.state for finding in check_redis(_FACTS, embedded=False)} == {"ok"}
    facts = RedisFacts(**{slot: getattr(_FACTS, slot) for slot in RedisFacts.__slots__} | changed)
    (found,) = (one for one in check_redis(facts, embedded=False) if one.state != "ok")
    assert (found.name, found.state) == (name, "warn")
    assert message in found.message
    assert found.advice
