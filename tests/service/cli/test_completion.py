"""Shells complete commands, options and the names of memory profiles."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.services import environment

_ONIONSKIN = Path(sys.executable).with_name("onionskin")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("onionskin se", ["serve"]),
        ("onionskin ex", ["export", "experiment"]),
        ("onionskin keys re", ["revoke"]),
        ("onionskin export --us", ["--user"]),
        ("onionskin chat --profile lay", ["layered"]),
        (
            "onionskin experiment recall --profile classic-s",
            ["classic-summary", "classic-summary-buffer"],
        ),
        ("onionskin experiment replay --profiles window,lay", ["window,layered"]),
    ],
)
def test_bash_is_offered_what_goes_on_so(words: str, offered: list[str], tmp_path: Path) -> None:
    settings = environment(
        _ONIONSKIN_COMPLETE="complete_bash",
        COMP_WORDS=words,
        COMP_CWORD=str(len(words.split()) - 1),
    )
    done = subprocess.run(
        [_ONIONSKIN], cwd=tmp_path, env=settings, capture_output=True, text=True, check=True
    )
    assert sorted(done.stdout.split()) == sorted(offered)
    assert done.stderr == ""


def test_settings_that_cannot_be_used_offer_nothing_and_say_nothing(tmp_path: Path) -> None:
    settings = environment(
        _ONIONSKIN_COMPLETE="complete_bash",
        COMP_WORDS="onionskin chat --profile lay",
        COMP_CWORD="3",
        ONIONSKIN_PORT="x",
    )
    done = subprocess.run(
        [_ONIONSKIN], cwd=tmp_path, env=settings, capture_output=True, text=True, check=True
    )
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_completion_is_shown_and_installed_for_the_shell(tmp_path: Path) -> None:
    script = f"{_ONIONSKIN} --show-completion; {_ONIONSKIN} --install-completion >&2; true"
    done = subprocess.run(
        ["bash", "-c", script],
        env=environment(HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "complete -o default -F _onionskin_completion onionskin" in done.stdout
    (installed,) = tmp_path.rglob("onionskin.sh")
    assert str(installed) in (tmp_path / ".bashrc").read_text()
    words = 'source "$1"; COMP_WORDS=(onionskin se); COMP_CWORD=1; _onionskin_completion "$2"'
    script = f'{words}; echo "${{COMPREPLY[@]}}"'
    done = subprocess.run(
        ["bash", "-c", script, "-", installed, _ONIONSKIN],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "serve\n"
