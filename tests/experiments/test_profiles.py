"""`onionskin experiment profiles` and `replay`: what it plays, reports, resumes and keeps."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from onionskin.experiments.conversations import RecordedMessage
from onionskin.experiments.playback import pairs
from onionskin.experiments.scoring import token_f1
from onionskin.memory.types.messages import Message
from onionskin.service.cli.main import app
from tests.conftest import repository
from tests.openai_server import OpenAIServer
from tests.services import running_service

_DATA = repository() / "experiments" / "data" / "assistant_japanese.jsonl"


def _run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["experiment", *map(str, arguments)])


def test_profiles_are_compared_and_a_second_run_resumes(tmp_path: Path) -> None:
    names = "layered,window,none,classic-buffer"
    asked = ("--data", _DATA, "--profiles", names, "--conversations", 1, "--out", tmp_path)
    done = _run("profiles", *asked)
    assert done.exit_code == 0, done.output
    rows = {
        row["profile"]: row
        for row in json.loads((tmp_path / "report.json").read_text())["profiles"]
    }
    assert list(rows) == names.split(",")
    assert rows["none"]["coverage"]["mean"] == 0
    assert rows["classic-buffer"]["coverage"]["mean"] == 100
    assert rows["window"]["coverage"]["mean"] < rows["layered"]["coverage"]["mean"]
    assert rows["layered"]["prompt_tokens_last"] < rows["classic-buffer"]["prompt_tokens_last"]
    assert rows["layered"]["memory_calls_per_turn"] > 0 == rows["window"]["memory_calls_per_turn"]
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert not re.search(r'(src|href)="http', page)
    assert len((tmp_path / "report.csv").read_text().splitlines()) == 1 + 4 * 20
    cells = {file: file.stat().st_mtime_ns for file in (tmp_path / "cells").iterdir()}
    assert len(cells) == 4
    assert _run("profiles", *asked).exit_code == 0
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "cells").iterdir()} == cells


def test_answers_without_a_model_and_unknown_profiles_are_refused(tmp_path: Path) -> None:
    asked = ("--data", _DATA, "--out", tmp_path)
    done = _run("profiles", *asked, "--profiles", "none", "--answers")
    assert "real model" in str(done.exception)
    done = _run("profiles", *asked, "--profiles", "nope")
    assert "'nope'" in str(done.exception)


def test_a_replay_touches_nothing_of_the_user(tmp_path: Path) -> None:
    with running_service(tmp_path) as service, service.client() as client:
        for message in ("My boat is called Ondine.", "She lies in Brest.", "What is she called?"):
            body = {"user_id": "alice", "message": message}
            assert client.post("/v1/chat", json=body).is_success
        before = client.get("/v1/users/alice/sessions").json()
        out = tmp_path / "report"
        done = _run(
            "replay",
            "--user",
            "alice",
            "--url",
            service.url,
            "--profiles",
            "layered,none",
            "--out",
            out,
        )
        assert done.exit_code == 0, done.output
        rows = json.loads((out / "report.json").read_text())["profiles"]
        assert [row["profile"] for row in rows] == ["layered", "none"]
        assert rows[0]["prompt_tokens"] > rows[1]["prompt_tokens"] > 0
        assert client.get("/v1/users/alice/sessions").json() == before
        done = _run("replay", "--user", "nobody", "--url", service.url, "--out", out)
        assert "'nobody'" in str(done.exception)


def test_what_one_side_says_in_a_row_is_one_message() -> None:
    said = [("user", "a"), ("user", "b"), ("assistant", "c"), ("user", "d")]
    messages = [
        RecordedMessage(
            str(number),
            "1",
            Message("user" if role == "user" else "assistant", text, float(number)),
        )
        for number, (role, text) in enumerate(said)
    ]
    made = [(pair.message, pair.reply) for pair in pairs(messages)]
    assert made == [("a\nb", "c"), ("d", "(nothing)")]


@pytest.mark.parametrize(
    ("given", "expected", "f1"),
    [
        ("In Porto.", "Porto", 2 / 3),
        ("the Porto", "Porto", 1.0),
        ("Lisbon", "Porto", 0.0),
        ("", "x", 0.0),
    ],
)
def test_token_f1_is_squads(given: str, expected: str, f1: float) -> None:
    assert token_f1(given, expected) == pytest.approx(f1)


async def test_answers_are_given_by_the_model_and_judged(tmp_path: Path) -> None:
    async with OpenAIServer() as model:
        model.reply = lambda _: "yes"
        asked = ("--data", _DATA, "--profiles", "none", "--conversations", 1, "--out", tmp_path)
        settings = {"ONIONSKIN_MODEL_BASE_URL": model.base_url, "ONIONSKIN_MODEL": "any"}
        command = ["experiment", "profiles", *map(str, asked), "--judge", "--yes"]
        done = await asyncio.to_thread(CliRunner().invoke, app, command, env=settings)
        assert done.exit_code == 0, done.output
        (row,) = json.loads((tmp_path / "report.json").read_text())["profiles"]
        assert (row["right"], row["f1"]) == (100.0, 0.0)
