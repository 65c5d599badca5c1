"""The former name is gone (decision 21), and every import carries the new one (decision 22)."""

import re
import subprocess
from pathlib import Path

from tests.conftest import repository

_FORMER = "str" + "ata"  # in two pieces, so that this file does not contain it
_DECISION = "docs/decisions/0021-name.md"
_VOCABULARY = "memory/retrieval/embedders/static/tokenizer.json"
"""The words of the built-in embedding model, English ones: this is one of them."""


def _files_with_the_former_name(root: Path) -> dict[str, int]:
    """Count the lines with the former name per tracked file; its path counts as a line."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True
    )
    counts: dict[str, int] = {}
    for name in filter(None, listing.stdout.split("\0")):
        path = root / name
        if path.is_symlink() or not path.is_file():
            lines = [name]
        else:
            lines = [name, *path.read_bytes().decode(errors="replace").splitlines()]
        if count := sum(_FORMER in line.lower() for line in lines):
            counts[name] = count
    return counts


def test_only_the_changelog_and_one_decision_have_the_former_name() -> None:
    counts = _files_with_the_former_name(repository())
    assert counts.pop("CHANGELOG.md") == 1
    assert counts.pop(_DECISION) > 0
    assert counts.pop(_VOCABULARY) == 1
    assert counts == {}


def test_the_search_finds_it_in_texts_and_in_file_names(tmp_path: Path) -> None:
    (tmp_path / "text.md").write_text(f"one\nthe {_FORMER.title()} service\n")
    (tmp_path / f"{_FORMER}.toml").write_text("")
    (tmp_path / "picture.svg").write_bytes(b"\xff" + _FORMER.upper().encode())
    (tmp_path / "clean.md").write_text("onionskin\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    assert _files_with_the_former_name(tmp_path) == {
        "text.md": 1,
        f"{_FORMER}.toml": 1,
        "picture.svg": 1,
    }


def test_nothing_is_imported_without_the_name() -> None:
    folders = [
        path.name for path in (repository() / "src/onionskin").iterdir() if path.is_symlink()
    ]
    bare = re.compile(rf"^ *(?:from|import) +(?:{'|'.join(folders)})\b", re.MULTILINE)
    assert bare.search("import memory.store\n")
    assert bare.search("    from service import app\n")
    for folder in (*folders, "tests", "scripts"):
        for path in sorted((repository() / folder).rglob("*.py")):
            assert not bare.search(path.read_text()), path
