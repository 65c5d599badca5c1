"""`onionskin experiment` with a class of one's own: correct figures, also after it was edited."""

import json
import os
from pathlib import Path

import pytest

from onionskin.experiments.profile_comparison import code_digest
from onionskin.memory.profiles import load_profiles
from tests.conftest import repository
from tests.services import environment, run_command

_DATA = repository() / "experiments" / "data" / "assistant_english.jsonl"
_LAYER = """
from onionskin.memory.layers import Section
import sizes


class FirstAndLast:
    name = "first-and-last"

    async def load(self, turn):
        first = await turn.transcript.first(sizes.FIRST)
        return Section(self.name, messages=(*first, *await turn.transcript.last(2)))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_memories.py").write_text(_LAYER)
    (tmp_path / "sizes.py").write_text("FIRST = 2\n")
    (tmp_path / "mine.toml").write_text(
        '[profiles.mine]\nlayers = ["my_memories.FirstAndLast"]\n'
        '[profiles.everything]\nlayers = ["my_memories.Everything"]\n'
    )
    with (tmp_path / "my_memories.py").open("a") as file:
        file.write(
            "\n\nclass Everything:\n    name = 'everything'\n\n    async def load(self, turn):\n"
            "        return Section(self.name, messages=await turn.transcript.read())\n"
        )
    return tmp_path


def _compare(folder: Path, profiles: str = "mine,everything") -> dict[str, float]:
    """The coverage of each profile, from the command as a process in a folder of its own."""
    done = run_command(
        [
            *("experiment", "profiles", "--data", str(_DATA), "--profiles", profiles),
            *("--conversations", "1", "--out", "report", "--json"),
        ],
        environment=environment(ONIONSKIN_PROFILES="mine.toml"),
        folder=folder,
    )
    assert done.returncode == 0, done.stderr
    return {row["profile"]: row["coverage"]["mean"] for row in json.loads(done.stdout)["profiles"]}


def test_an_edited_class_has_new_figures_and_an_unchanged_one_is_not_played_again(
    folder: Path,
) -> None:
    """The edit has the same size, and falls into the same second."""
    before = _compare(folder)
    assert before["everything"] == 100
    assert 0 <= before["mine"] < 100
    cells = {file: file.stat().st_mtime_ns for file in (folder / "report" / "cells").iterdir()}
    assert _compare(folder) == before
    assert cells == {
        file: file.stat().st_mtime_ns for file in (folder / "report" / "cells").iterdir()
    }
    sizes = folder / "sizes.py"
    modified = sizes.stat().st_mtime
    sizes.write_text("FIRST = 9\n")
    os.utime(sizes, (modified, modified))
    assert _compare(folder)["mine"] > before["mine"]


def test_the_digest_of_a_profile_follows_its_class_and_no_other_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)

    def digests() -> list[str]:
        profiles = load_profiles(folder / "mine.toml")
        return [code_digest(name, profiles[name]) for name in ("mine", "window")]

    own, built_in = digests()
    (folder / "notes.py").write_text("nothing = 1\n")
    assert digests() == [own, built_in]
    with (folder / "my_memories.py").open("a") as file:
        file.write("# edited\n")
    assert digests()[0] != own
    assert digests()[1] == built_in


def test_a_layer_that_fails_ends_the_experiment(folder: Path) -> None:
    with (folder / "my_memories.py").open("a") as file:
        file.write(
            "\n\nclass Broken(FirstAndLast):\n    async def load(self, turn):\n        1 / 0\n"
        )
    (folder / "mine.toml").write_text('[profiles.mine]\nlayers = ["my_memories.Broken"]\n')
    done = run_command(
        ["experiment", "profiles", "--data", str(_DATA), "--profiles", "mine"],
        environment=environment(ONIONSKIN_PROFILES="mine.toml"),
        folder=folder,
    )
    assert done.returncode != 0
    assert "ZeroDivisionError" in done.stderr
    assert "my_memories.py" in done.stderr


@pytest.mark.parametrize("profile", ["mine", "summary", "classic-buffer"])
def test_recall_refuses_a_profile_that_ranks_nothing(folder: Path, profile: str) -> None:
    done = run_command(
        ["experiment", "recall", "--data", str(_DATA), "--profile", profile],
        environment=environment(ONIONSKIN_PROFILES="mine.toml"),
        folder=folder,
    )
    assert done.returncode != 0
    assert f"experiment profiles --data FILE --profiles {profile}" in " ".join(done.stderr.split())
