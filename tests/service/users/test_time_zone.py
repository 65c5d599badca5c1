"""The user's clock: in prompts, extraction and recall, from every source, with its precedence."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jwt
import pytest

from onionskin.memory.errors import ConfigurationError
from onionskin.service.settings import load_settings
from tests.openai_server import OpenAIServer
from tests.polling import until
from tests.service.conftest import Backend, running_backend

_SECRET = "a secret of at least thirty-two bytes"
_HEADER = "X-Onionskin-Timezone"


def _import(backend: Backend, user: str, *lines: dict[str, str]) -> None:
    body = "\n".join(json.dumps({"role": "user"} | line) for line in lines).encode()
    backend.client.post(f"/v1/users/{user}/import", content=body).raise_for_status()


def _prompt(backend: Backend) -> str:
    return "\n".join(text for _, text in backend.model.requests[-1].messages)


def _set(backend: Backend, user: str, zone: str | None) -> dict[str, Any]:
    url = f"/v1/users/{user}/settings"
    return backend.client.put(url, json={"timezone": zone}).raise_for_status().json()


def _now(zone: str, at: float) -> str:
    return datetime.fromtimestamp(at, ZoneInfo(zone)).strftime("%A %Y-%m-%d %H:%M")


def _says_now(prompt: str, zone: str) -> bool:
    """Whether the prompt has the time in a zone; the minute may just have changed."""
    shown = [_now(zone, time.time() - ago) for ago in (0, 60)]
    return any(f"It is {one} " in prompt for one in shown)


def test_an_imported_message_is_shown_at_its_own_offset_and_today_is_the_users(
    backend: Backend,
) -> None:
    _import(
        backend,
        "aiko",
        {"content": "The swimming lesson was fun.", "time": "2026-11-30T08:00:00+09:00"},
        {"content": "The swimming lesson is cold.", "time": "2026-11-30T08:00:00Z"},
    )
    _set(backend, "aiko", "Pacific/Kiritimati")
    backend.say("aiko", "How was the swimming lesson?").raise_for_status()
    prompt = _prompt(backend)
    assert '[Monday 2026-11-30 08:00 +09:00] user: "The swimming lesson was fun."' in prompt
    assert '[Monday 2026-11-30 22:00 +14:00] user: "The swimming lesson is cold."' in prompt
    assert _says_now(prompt, "Pacific/Kiritimati")
    assert "+14:00 (Pacific/Kiritimati)." in prompt.splitlines()[-4]


def test_without_any_zone_times_are_in_utc(backend: Backend) -> None:
    _import(backend, "bo", {"content": "The piano is tuned.", "time": "2026-11-29T23:00:00Z"})
    backend.say("bo", "Is the piano tuned?").raise_for_status()
    assert '[Sunday 2026-11-29 23:00] user: "The piano is tuned."' in _prompt(backend)
    assert _says_now(_prompt(backend), "UTC")


def test_the_stable_part_of_the_prompt_is_the_same_in_every_zone(backend: Backend) -> None:
    systems: set[str] = set()
    for zone in ("Asia/Kathmandu", "-12:00"):
        headers = {_HEADER: zone}
        body = {"user_id": zone.replace("/", "-"), "message": "Hello."}
        backend.client.post("/v1/chat", json=body, headers=headers).raise_for_status()
        (_, system), *_rest, (_, last) = backend.model.requests[-1].messages
        systems.add(system)
        assert f"({zone})" in last
    assert len(systems) == 1


@pytest.mark.parametrize("zone", ["Mars/Phobos", "+15:00", "Europe"])
def test_an_invalid_zone_is_refused_with_an_example(backend: Backend, zone: str) -> None:
    put = backend.client.put("/v1/users/di/settings", json={"timezone": zone})
    body = {"user_id": "di", "message": "Hello."}
    chat = backend.client.post("/v1/chat", json=body, headers={_HEADER: zone})
    for answer in (put, chat):
        assert answer.status_code == 422
        assert zone in answer.json()["detail"]
        assert "'Europe/Berlin'" in answer.json()["detail"]
    assert not backend.sessions("di")


def test_settings_are_read_back_and_removed(backend: Backend) -> None:
    assert _set(backend, "eva", "america/new_york")["timezone"] == "America/New_York"
    read = backend.client.get("/v1/users/eva/settings").json()
    assert read["effective_timezone"] == "America/New_York"
    assert datetime.fromisoformat(read["local_time"]).utcoffset() in (
        *(timedelta(hours=-4), timedelta(hours=-5)),
    )
    overridden = backend.client.get("/v1/users/eva/settings", headers={_HEADER: "+05:45"}).json()
    assert (overridden["timezone"], overridden["effective_timezone"]) == (
        *("America/New_York", "+05:45"),
    )
    assert _set(backend, "eva", None)["effective_timezone"] == "UTC"


def test_erasure_forgets_the_zone(backend: Backend) -> None:
    _set(backend, "fay", "Asia/Tokyo")
    backend.client.delete("/v1/users/fay").raise_for_status()
    assert backend.client.get("/v1/users/fay/settings").json()["timezone"] is None


def test_a_turn_stores_the_offset_of_its_clock_and_shows_it(backend: Backend) -> None:
    body = {"user_id": "gil", "message": "My boat is blue."}
    headers = {_HEADER: "+05:45"}
    answer = backend.client.post("/v1/chat", json=body, headers=headers).raise_for_status().json()
    url = f"/v1/users/gil/sessions/{answer['session_id']}/messages"
    said = backend.client.get(url).json()["messages"]
    assert [one["time"][-6:] for one in said] == ["+05:45", "+05:45"]
    exported = backend.client.get("/v1/users/gil/export").text.splitlines()
    lines = [line for line in map(json.loads, exported) if line["kind"] == "message"]
    assert [line["utc_offset"] for line in lines] == [20_700, 20_700]
    assert abs(lines[0]["time"] - time.time()) < 600
    backend.client.post("/v1/users/gil-2/import", content="\n".join(exported)).raise_for_status()
    session = backend.sessions("gil-2")[0]["session_id"]
    restored = backend.client.get(f"/v1/users/gil-2/sessions/{session}/messages").json()
    assert [one["time"] for one in restored["messages"]] == [one["time"] for one in said]


def test_an_export_restores_the_zone_and_replaces_none(backend: Backend) -> None:
    _set(backend, "liv", "Asia/Tokyo")
    backend.say("liv", "Hello.").raise_for_status()
    export = backend.client.get("/v1/users/liv/export").content
    _set(backend, "liv-3", "Europe/Berlin")
    for user, zone in (("liv-2", "Asia/Tokyo"), ("liv-3", "Europe/Berlin")):
        backend.client.post(f"/v1/users/{user}/import", content=export).raise_for_status()
        assert backend.client.get(f"/v1/users/{user}/settings").json()["timezone"] == zone
    unknown = export.replace(b"Asia/Tokyo", b"Mars/Phobos")
    backend.client.post("/v1/users/liv-4/import", content=unknown).raise_for_status()
    assert backend.client.get("/v1/users/liv-4/settings").json()["timezone"] is None


def test_the_tools_of_mcp_get_the_clock_of_their_request(backend: Backend) -> None:
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "get_context", "arguments": {"message": "What day is it?"}},
    }
    headers = {"Accept": "application/json, text/event-stream", _HEADER: "Asia/Kathmandu"}
    _import(backend, "mia", {"content": "What a day it is.", "time": "2026-11-30T08:00:00+09:00"})
    answer = backend.client.post("/mcp?user=mia", json=call, headers=headers)
    text = answer.raise_for_status().json()["result"]["content"][0]["text"]
    assert "Monday 2026-11-30 08:00 +09:00" in text
    _import(backend, "mia", {"content": "What a day it was.", "time": "2026-11-29T23:00:00Z"})
    answer = backend.client.post("/mcp?user=mia", json=call, headers=headers)
    text = answer.raise_for_status().json()["result"]["content"][0]["text"]
    assert "Monday 2026-11-30 04:45 +05:45" in text


def test_the_openai_endpoint_and_a_context_take_the_header(backend: Backend) -> None:
    body = {"model": "layered", "user": "hal", "messages": [{"role": "user", "content": "Hi."}]}
    headers = {_HEADER: "Asia/Kolkata"}
    backend.client.post("/v1/chat/completions", json=body, headers=headers).raise_for_status()
    assert _says_now(_prompt(backend), "Asia/Kolkata")
    context = backend.client.post(
        "/v1/users/hal/context", json={"message": "Hi."}, headers=headers
    ).json()
    assert _says_now(context["prompt"][-1]["content"], "Asia/Kolkata")


def test_yesterday_is_the_day_before_the_users_today(backend: Backend) -> None:
    """Two messages an hour apart, on both sides of the user's midnight."""
    zone = "Pacific/Kiritimati"
    midnight = datetime.now(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    times = [midnight + timedelta(minutes=minutes) for minutes in (-30, 30)]
    _import(
        backend,
        "ina",
        *(
            {"content": f"I ate {food} for dinner.", "time": at.astimezone(UTC).isoformat()[:19]}
            for food, at in zip(("noodles", "dumplings"), times, strict=True)
        ),
    )
    _set(backend, "ina", zone)
    answer = backend.say("ina", "What did I eat for dinner yesterday?", profile="vector").json()
    hits = [hit for layer in answer["memory"] for hit in layer["recalled"]]
    assert "noodles" in hits[0]["content"]
    assert "dates" in str(hits[0]["parts"]) or hits[0]["score"] > hits[1]["score"]


@pytest.fixture(scope="module")
def tokens(model: OpenAIServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    settings = {
        "ONIONSKIN_AUTH": "jwt",
        "ONIONSKIN_JWT_SECRET": _SECRET,
        "ONIONSKIN_TIMEZONE": "africa/lagos",
    }
    with running_backend(model, tmp_path_factory.mktemp("tokens"), **settings) as found:
        yield found


def _bearer(user: str, **claims: object) -> dict[str, str]:
    payload = {"sub": user, "exp": time.time() + 600} | claims
    return {"Authorization": f"Bearer {jwt.encode(payload, _SECRET, 'HS256')}"}


def test_header_setting_claim_and_default_in_this_order(tokens: Backend) -> None:
    def zone(**claims: object) -> str:
        headers = _bearer("jo", **claims)
        body = {"user_id": "jo", "message": "Hello."}
        tokens.client.post("/v1/chat", json=body, headers=headers | extra).raise_for_status()
        return _prompt(tokens).rpartition("It is ")[2].partition("(")[2].partition(")")[0]

    extra: dict[str, str] = {}
    assert zone() == "Africa/Lagos"
    assert zone(zoneinfo="Mars/Phobos") == zone(zoneinfo=["x"]) == "Africa/Lagos"
    assert zone(zoneinfo="America/Lima") == "America/Lima"
    tokens.client.put(
        "/v1/users/jo/settings", json={"timezone": "Europe/Berlin"}, headers=_bearer("jo")
    ).raise_for_status()
    assert zone(zoneinfo="America/Lima") == "Europe/Berlin"
    extra[_HEADER] = "Asia/Tokyo"
    assert zone(zoneinfo="America/Lima") == "Asia/Tokyo"


def test_extraction_reads_lines_by_the_clock_of_their_speaker(
    model: OpenAIServer, tmp_path: Path
) -> None:
    (tmp_path / "mine.toml").write_text(
        '[profiles.layered]\nlayers = ["window", "facts"]\n'
        "extraction = { enabled = true, messages = 2 }\n"
    )
    settings = {"ONIONSKIN_PROFILES": str(tmp_path / "mine.toml")}
    with running_backend(model, tmp_path / "data", **settings) as backend:
        _set(backend, "kim", "Asia/Kathmandu")
        backend.say("kim", "The exam is next Friday.").raise_for_status()

        def extraction() -> str:
            prompts = ["\n".join(text for _, text in one.messages) for one in model.requests]
            return next((one for one in prompts if "<new_lines>" in one and "exam" in one), "")

        until(extraction)
        prompt = extraction()
        line = next(one for one in prompt.splitlines() if "The exam is next Friday." in one)
        shown = [_now("Asia/Kathmandu", time.time() - ago) for ago in range(0, 300, 60)]
        assert any(f"[{one} +05:45]" in line for one in shown)


def test_an_unknown_default_zone_is_named_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"Mars/Phobos.*Europe/Berlin"):
        load_settings(timezone="Mars/Phobos", data_dir=tmp_path)
