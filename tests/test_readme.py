"""The README is true to the letter: its commands are run."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from onionskin.memory.profiles import load_profiles
from onionskin.service.settings import Settings
from tests.conftest import repository
from tests.services import environment

_PORT_8000 = "http://127.0.0.1:8000"


def _blocks(language: str, file: str = "README.md") -> list[str]:
    text = (repository() / file).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`make run` as the README has it, but for port and data directory; its address."""
    data = tmp_path_factory.mktemp("readme")
    settings = environment(ONIONSKIN_PORT="0", ONIONSKIN_DATA_DIR=str(data / "onionskin"))
    assert "make run\n" in _blocks("bash")
    with subprocess.Popen(
        ["make", "run"], cwd=repository(), stdout=subprocess.PIPE, text=True, env=settings
    ) as process:
        try:
            for line in process.stdout or ():
                if found := re.search(r"http://\S+", line):
                    yield found[0]
                    break
        finally:
            process.terminate()
            process.wait(20)


def test_the_curls_and_commands_of_the_readme_work(made: str, tmp_path: Path) -> None:
    outputs: list[str] = []
    for block in _blocks("bash"):
        if block.startswith("make "):
            continue
        command = block.replace(_PORT_8000, made)
        command = command.replace(".venv/bin/", f"{repository()}/.venv/bin/")
        done = subprocess.run(
            ["bash", "-euc", command],
            cwd=tmp_path,
            env=environment(ONIONSKIN_URL=made, PATH=os.environ["PATH"]),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, f"{block}\n{done.stderr}"
        outputs.append(done.stdout)
    noted, answered, demo, compared, stream, sessions, imported, erased, checked = outputs
    assert "Noted." in json.loads(noted)["reply"]
    assert "Biscuit" in json.loads(answered)["reply"]
    assert json.loads(demo)["recalled"] is True
    assert "profiles" in compared
    assert re.findall(r"^event: (\w+)$", stream, re.MULTILINE)[-1] == "done"
    assert json.loads(sessions)["sessions"][0]["messages"] == 6
    assert imported.startswith("2 messages stored in 1 session")
    *exported, receipt = map(json.loads, erased.splitlines())
    assert [line["kind"] for line in exported][1:-1] == ["session", "message", "message"]
    assert receipt["messages"] == 2
    assert "ONIONSKIN_DRAIN_TIMEOUT" in checked
    assert "the offline model, which quotes memory" in checked


def test_every_make_target_of_the_readme_exists() -> None:
    text = (repository() / "README.md").read_text()
    targets = re.findall(r"(?:`|^)make ([a-z]+)(?:`|$)", text, re.MULTILINE)
    assert {"run", "test", "help"} <= set(targets)
    for target in set(targets):
        subprocess.run(["make", "-n", target], cwd=repository(), check=True, capture_output=True)


def test_every_setting_is_in_the_readme_with_its_default() -> None:
    text = (repository() / "README.md").read_text()
    for name, field in Settings.model_fields.items():
        variable = "OPENAI_API_KEY" if name == "openai_api_key" else f"ONIONSKIN_{name.upper()}"
        assert f"`{variable}`" in text, variable
        if isinstance(field.default, int) and name != "port":
            row = re.search(rf"^\| `{variable}` \| (\S+) \|", text, re.MULTILINE)
            assert row, variable
            assert row[1] == str(field.default)


def test_the_profiles_of_the_readme_can_be_loaded(tmp_path: Path) -> None:
    file = tmp_path / "profiles.toml"
    file.write_text(_blocks("toml")[0])
    profile = load_profiles(file)["brief"]
    assert profile.window.keep_pairs == 3
    assert profile.vector.top_k == 10


def test_every_file_that_the_readme_links_exists() -> None:
    text = (repository() / "README.md").read_text()
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (repository() / link).exists(), link


def test_the_commands_of_the_guide_to_experiments_work(tmp_path: Path) -> None:
    blocks = _blocks("bash", "docs/experiments.md")
    assert len(blocks) == 2
    for block in blocks:
        done = subprocess.run(
            ["bash", "-euc", block.replace("--out report", f"--out {tmp_path}")],
            cwd=repository(),
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{block}\n{done.stderr}"
    assert (tmp_path / "report.html").exists()
    profiles = tmp_path / "mine.toml"
    profiles.write_text(_blocks("toml", "docs/experiments.md")[0])
    assert {"short", "summary-of-300"} <= set(load_profiles(profiles))
