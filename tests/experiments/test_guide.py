"""docs/experiments.md and docs/profiles.md: files and commands, as written, in a new folder."""

import json
import re
import shlex
from pathlib import Path

import pytest

from onionskin.memory.hooks import load_hooks
from onionskin.memory.layers.langchain_classic_factories import Sources
from onionskin.memory.profiles import build_layers, load_profiles
from onionskin.memory.retrieval import StaticEmbedder
from onionskin.memory.store import RedisStore
from tests.conftest import repository
from tests.services import environment, run_command


def _page(name: str) -> str:
    return (repository() / "docs" / name).read_text()


def _blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    page = _page("experiments.md")
    (tmp_path / "mine.toml").write_text("\n".join(_blocks(page, "toml")))
    (tmp_path / "my_memories.py").write_text("\n".join(_blocks(page, "python")))
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "data").symlink_to(repository() / "experiments" / "data")
    return tmp_path


def _commands() -> list[str]:
    """The commands that name `mine.toml`, without the path of the program."""
    joined = _page("experiments.md").replace("\\\n", " ")
    return re.findall(r"ONIONSKIN_PROFILES=mine.toml \.venv/bin/onionskin (.*)", joined)


def test_the_commands_of_the_guide_compare_own_memories(folder: Path) -> None:
    reports: list[dict[str, float]] = []
    assert len(_commands()) == 2
    for command in _commands():
        done = run_command(
            [*shlex.split(command), "--conversations", "1", "--json"],
            environment=environment(ONIONSKIN_PROFILES="mine.toml"),
            folder=folder,
        )
        assert done.returncode == 0, done.stderr
        rows = json.loads(done.stdout)["profiles"]
        reports.append({row["profile"]: row["coverage"]["mean"] for row in rows})
    first, second = reports
    assert first["layered"] > first["short"] > 0
    assert second["longer-ends"] > second["ends"]
    assert second["longer-ends"] > second["window"] > second["none"] == 0


def test_the_profiles_page_has_layers_and_hooks_that_load(
    tmp_path: Path, store: RedisStore, embedder: StaticEmbedder
) -> None:
    page = _page("profiles.md")
    layer, hook = _blocks(page, "python")
    (tmp_path / "my_memories.py").write_text(layer)
    (tmp_path / "my_hooks.py").write_text(hook)
    (tmp_path / "mine.toml").write_text("\n".join(_blocks(page, "toml")))
    profiles, sources = load_profiles(tmp_path / "mine.toml"), Sources(store, embedder)
    names = [one.name for one in build_layers(profiles["ends"], sources, name="ends")]
    assert names == ["window", "first-and-last"]
    (loaded,) = load_hooks("h", profiles["layered-with-hook"], sources)
    assert loaded.path == "my_hooks.on_turn"
