"""Help ends with an example everywhere, and loads nothing that it does not need."""

import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from onionskin.benchmarks.cli import app as benchmarks
from onionskin.service.cli.exit_codes import ExitCode
from onionskin.service.cli.main import app
from onionskin.service.settings_sources import PREFIX
from tests.service.terminal import onionskin

_WITHOUT_JSON = {"export", "mcp", "bench"}  # JSON lines always, a protocol, a group of its own


def _commands(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, object]]:
    yield " ".join(path), command
    for name, one in getattr(command, "commands", {}).items():
        yield from _commands(one, (*path, name))


_ALL = dict(_commands(get_command(app))) | dict(_commands(get_command(benchmarks), ("bench",)))


@pytest.mark.parametrize("path", _ALL)
def test_every_help_ends_with_an_example_of_the_command(path: str) -> None:
    epilog = str(getattr(_ALL[path], "epilog", "")).split("\n")[-1]
    assert epilog.startswith("Example: ")
    words = [
        one for one in shlex.split(epilog.removeprefix("Example: ")) if not one.startswith(PREFIX)
    ]
    assert words[: 1 + len(path.split())] == ["onionskin", *path.split()]
    done = CliRunner().invoke(app, [*path.split(), "--help"], prog_name="onionskin")
    assert done.exit_code == ExitCode.OK
    assert " ".join(done.stdout.split()).endswith(epilog)


@pytest.mark.parametrize("path", ["", "serve", "keys", "keys revoke", "bench", "bench turn"])
def test_help_is_the_same_of_a_process(path: str) -> None:
    done = onionskin(*path.split(), "--help")
    assert done.returncode == ExitCode.OK
    shown = CliRunner().invoke(app, [*path.split(), "--help"], prog_name="onionskin").stdout
    assert done.stdout.split() == shown.split()


def test_every_command_that_prints_an_outcome_has_json() -> None:
    for path, command in _ALL.items():
        if not getattr(command, "commands", None) and path not in _WITHOUT_JSON:
            options = {name for one in getattr(command, "params", ()) for name in one.opts}
            assert "--json" in options, path


def test_help_loads_neither_the_store_nor_a_model() -> None:
    program = "import sys, onionskin.service.cli.main; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    heavy = {"redis", "faiss", "fastapi", "langchain_core", "numpy", "pydantic"}
    assert not heavy & set(done.stdout.split())
