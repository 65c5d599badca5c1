"""docs/terminal.md: its commands print exactly the output on the page."""

import os
import re
import subprocess
import sys
from pathlib import Path

from onionskin.service.cli.exit_codes import MEANINGS
from tests.conftest import repository
from tests.services import environment, running_service

_BINARIES = str(Path(sys.executable).parent)


def _page() -> str:
    return (repository() / "docs/terminal.md").read_text()


def _examples() -> list[tuple[str, str]]:
    """Every command of the page, with its output."""
    blocks = re.findall(r"^```console\n(.*?)^```", _page(), re.MULTILINE | re.DOTALL)
    return [
        (command, printed)
        for block in blocks
        for command, printed in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
    ]


def _pattern(printed: str) -> str:
    return ".*".join(map(re.escape, printed.split("…")))


def test_the_commands_print_the_output_on_the_page(tmp_path: Path) -> None:
    data = tmp_path / "data"
    path = f"{_BINARIES}:{os.environ['PATH']}"
    with running_service(data) as service:
        settings = environment(ONIONSKIN_URL=service.url, ONIONSKIN_DATA_DIR=str(data), PATH=path)
        for command, printed in _examples():
            done = subprocess.run(
                ["bash", "-uc", command],
                cwd=tmp_path,
                env=settings,
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            assert done.returncode == 0, f"{command}\n{done.stderr}"
            output = re.sub(r" +$", "", done.stdout, flags=re.MULTILINE)
            assert re.fullmatch(_pattern(printed), output, re.DOTALL), f"{command}\n{output}"


def test_the_page_names_every_exit_code() -> None:
    for code, meaning in MEANINGS.items():
        assert f"| {code.value} | {meaning} |" in _page()
