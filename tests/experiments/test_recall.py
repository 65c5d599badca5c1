"""`onionskin experiment recall`: figures that can be checked by hand, and refusals that help."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from onionskin.experiments.conversations import UnreadableDataError, read_conversations
from onionskin.experiments.statistics import estimate
from onionskin.service.cli.main import app
from tests.conftest import repository

_DATA = repository() / "experiments" / "data" / "assistant_japanese.jsonl"


def _message(number: int, content: str, role: str = "user") -> dict[str, Any]:
    return {
        "kind": "message",
        "conversation": "c",
        "id": f"m{number}",
        "session": "1",
        "role": role,
        "time": f"2026-01-01T10:{number:02d}:00+00:00",
        "content": content,
    }


def _question(text: str, *evidence: str, category: str = "fact") -> dict[str, Any]:
    named = {"question": text, "evidence": list(evidence), "category": category}
    return {"kind": "question", "conversation": "c", **named}


def _file(folder: Path, *lines: object) -> Path:
    file = folder / "data.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines))
    return file


def _run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["experiment", "recall", *map(str, arguments)])


def test_recall_is_the_share_of_evidence_among_the_first_k(tmp_path: Path) -> None:
    texts = ["My dog is called Biscuit.", "I had soup.", "It rains.", "My sister has a violin."]
    file = _file(
        tmp_path,
        *(_message(number, text) for number, text in enumerate(texts)),
        _question("What is my dog called?", "m0"),
        _question("What do my dog and my sister have?", "m0", "m2", category="two"),
    )
    done = _run("--data", file, "--top-k", "1,4", "--json")
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert figures["n_questions"] == 2
    assert figures["by_category"]["fact"]["R@1"]["mean"] == 100.0
    assert figures["by_category"]["two"]["R@4"]["mean"] == 100.0
    assert figures["by_category"]["two"]["R@1"]["mean"] in {0.0, 50.0}
    assert figures["latency_ms"]["p50"] > 0


def test_a_window_recalls_the_newest_whatever_is_asked(tmp_path: Path) -> None:
    file = _file(
        tmp_path,
        *(_message(number, f"Number {number}.") for number in range(6)),
        _question("Number 5?", "m5"),
        _question("Number 0?", "m0"),
    )
    chosen = ("--profile", "window", "--profile", "none")
    done = _run("--data", file, "--top-k", "1,6", *chosen, "--json")
    assert done.exit_code == 0, done.output
    window, none = json.loads(done.stdout)["runs"]
    assert [window["overall"][k]["mean"] for k in ("R@1", "R@6")] == [50.0, 100.0]
    assert [none["overall"][k]["mean"] for k in ("R@1", "R@6")] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ([], "has no conversation"),
        ([{"kind": "message"}], "line 1"),
        ([_message(0, "a"), _message(0, "b")], "twice"),
        ([_question("?", "m9")], "m9"),
        ([[1, 2]], "line 1"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(
    tmp_path: Path, lines: list[object], named: str
) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text(" " + "\n".join(json.dumps(line) for line in lines).replace("[1, 2]", "nope"))
    with pytest.raises(UnreadableDataError, match=named):
        read_conversations(file)


def test_binary_and_half_locomo_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    for content in (b"\xff\xfe\x00", b'[{"qa": []}]', b"[1]"):
        file.write_bytes(content)
        with pytest.raises(UnreadableDataError):
            read_conversations(file)


@pytest.mark.parametrize("top_k", ["", "0", "5,x", "-1"])
def test_a_k_that_is_none_is_refused(top_k: str) -> None:
    assert _run("--data", _DATA, "--top-k", top_k).exit_code == 2


def test_an_interval_holds_the_mean_and_narrows_with_more_questions() -> None:
    few, many = estimate([0.0, 1.0] * 10), estimate([0.0, 1.0] * 1000)
    assert few.low < few.mean == many.mean == 50.0 < few.high
    assert many.high - many.low < (few.high - few.low) / 3


@pytest.mark.parametrize("language", ["english", "german", "japanese"])
def test_chats_with_an_assistant_lose_nothing_against_the_hand_made_ranking(language: str) -> None:
    """The learned weights come from people talking with each other; they must not serve here."""
    figures: dict[str, Any] = {}
    for ranking in ("learned", "hand-made"):
        data = _DATA.with_name(f"assistant_{language}.jsonl")
        done = _run("--data", data, "--ranking", ranking, "--json")
        assert done.exit_code == 0, done.output
        figures[ranking] = json.loads(done.stdout)["overall"]
    for name, learned in figures["learned"].items():
        assert learned["mean"] >= figures["hand-made"][name]["mean"], name
    assert figures["learned"]["R@25"]["mean"] > 70
