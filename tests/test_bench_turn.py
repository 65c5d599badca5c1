"""`onionskin bench turn`, once for real, in its smallest form."""

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from onionskin.benchmarks.turn.bounds import bounds
from onionskin.benchmarks.turn.docs import write_docs
from onionskin.benchmarks.turn.plan import TINY
from onionskin.benchmarks.turn.plots import draw
from onionskin.benchmarks.turn.prompts import read_prompts
from onionskin.benchmarks.turn.report import as_data, show
from onionskin.benchmarks.turn.run import measure
from onionskin.benchmarks.turn.sides import BARE, CLASSIC, LAYERED, NONE, REMOTE
from onionskin.memory.errors import ConfigurationError
from onionskin.service.cli.exit_codes import ExitCode
from tests.conftest import repository


def test_a_run_measures_every_side_and_writes_what_it_found(tmp_path: Path) -> None:
    if shutil.which("wrk") is None:
        with pytest.raises(ConfigurationError, match="apt-get install wrk"):
            measure(TINY)
        return
    output = io.StringIO()
    figures = measure(TINY)
    show(figures, Console(file=output, width=200))
    assert {cell.side for cell in figures.cells} == {BARE, NONE, LAYERED, REMOTE, CLASSIC}
    assert all(cell.errors == 0 for cell in figures.cells)
    assert figures.calls_of(BARE).model_calls == 1.0
    assert figures.calls_of(CLASSIC).model_calls == 2.0
    assert 1.0 <= figures.calls_of(LAYERED).model_calls <= 1.4
    assert figures.calls_of(LAYERED).embedding_calls == 0.0
    assert figures.calls_of(REMOTE).awaited_embedding_calls == 1.0
    assert figures.calls_of(REMOTE).embedding_calls > 1.0
    assert figures.calls_of(LAYERED).cacheable > figures.calls_of(CLASSIC).cacheable
    assert max(figures.prompt_tokens.values()) <= figures.prompt_budget
    assert len(bounds(figures)) == 13
    assert "turns a second, layered / classic" in output.getvalue()
    assert len(json.loads(json.dumps(as_data(figures)))["bounds"]) == 13
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text((repository() / "README.md").read_text())
    plots = draw(figures, tmp_path / "docs" / "images")
    write_docs(figures, plots, tmp_path)
    page = (tmp_path / "docs" / "performance.md").read_text()
    assert figures.hardware in page
    assert len(plots) == 9
    for title, file in plots.items():
        assert f"![{title}](images/{file.name})" in page
        assert file.stat().st_size > 0
    assert figures.hardware in (tmp_path / "README.md").read_text()


def test_prompts_of_turns_are_distinguished_from_other_calls() -> None:
    said = [
        ["hello #u-1#"],
        ["a summary of hello #u-1#"],
        ["hello #u-1#", "well", "and now? #u-2#"],
    ]
    bodies = [
        json.dumps({"messages": [{"role": "user", "content": text} for text in texts]}).encode()
        for texts in said
    ]
    asked = read_prompts(bodies)
    first, second = "user\nhello #u-1#", "user\nhello #u-1#\n\nuser\nwell\n\nuser\nand now? #u-2#"
    assert asked.tokens == [4, 4 + 3 + 5]
    assert asked.cacheable == [len(first) / len(second)]


def test_a_missing_wrk_is_reported(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "onionskin.service", "bench", "turn", "--quick"],
        env={"PATH": str(tmp_path)},
        cwd=repository(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ExitCode.USAGE
    assert "wrk, which is not installed" in done.stderr
