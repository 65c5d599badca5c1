"""Long work shows on a terminal how far it is; nowhere else is there a word of it."""

from pathlib import Path

import pytest

from tests.conftest import repository
from tests.service.conftest import Backend
from tests.service.terminal import on_a_terminal, onionskin

_DATA = repository() / "experiments" / "data" / "assistant_japanese.jsonl"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A chat whose name a careless program would take for markup."""
    made = tmp_path / "a [bold]chat.jsonl"
    made.write_text('{"role": "user", "content": "I sold the boat."}\n' * 50)
    return made


def test_import_export_and_erasure_show_how_far_they_are(backend: Backend, file: Path) -> None:
    at = ("--url", backend.service.url)
    printed, seen = on_a_terminal("import", str(file), "--user", "pia", "--json", *at)
    assert printed.startswith('{"import_id":')
    assert f"importing {file.name}" in seen
    printed, seen = on_a_terminal("export", "--user", "pia", *at)
    assert printed.startswith('{"kind":"onionskin-export"')
    assert "exporting pia" in seen
    printed, seen = on_a_terminal("erase", "--user", "pia", "--user", "pit", "--yes", *at)
    assert printed.count("is erased") == 2
    assert "erasing" in seen
    assert "2/2" in seen


def test_foreign_files_show_how_far_they_are(backend: Backend, tmp_path: Path) -> None:
    file = tmp_path / "memories.json"
    file.write_text('{"results": [{"id": "1", "memory": "Sold the boat."}]}')
    command = ("import", str(file), "--user", "pol", "--form", "mem0", "--url", backend.service.url)
    printed, seen = on_a_terminal(*command)
    assert printed == "1 memory stored, 0 were there already.\n"
    assert "importing memories.json" in seen


def test_reindex_and_experiments_show_how_far_they_are(tmp_path: Path) -> None:
    printed, seen = on_a_terminal("reindex", "--json", ONIONSKIN_DATA_DIR=str(tmp_path / "data"))
    assert printed.startswith('{"embedder":')
    assert "users, 0 vectors" in seen
    chosen = ("--data", str(_DATA), "--json")
    printed, seen = on_a_terminal("experiment", "recall", *chosen)
    assert printed.startswith('{"profile":')
    assert "%" in seen
    chosen = (*chosen, "--profiles", "none", "--conversations", "1", "--out", str(tmp_path))
    printed, seen = on_a_terminal("experiment", "profiles", *chosen)
    assert printed.startswith('{"about":')
    assert "starting" in seen


def test_without_a_terminal_there_is_no_progress(backend: Backend, file: Path) -> None:
    at = ("--user", "pam", "--url", backend.service.url)
    for command in (("import", str(file)), ("export",), ("erase", "--yes")):
        done = onionskin(*command, *at)
        assert done.returncode == 0
        assert done.stdout
        assert done.stderr == ""
    assert onionskin("reindex", ONIONSKIN_DATA_DIR=str(file.parent / "data")).stderr == ""
