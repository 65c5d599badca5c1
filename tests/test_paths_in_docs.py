"""Paths and modules that the documentation names exist."""

import re
from pathlib import Path

import pytest

from tests.conftest import repository

_PACKAGES = ("memory", "chains", "service", "client", "experiments", "benchmarks")
_FOLDERS = (*_PACKAGES, "tests", "docs", "deploy", "scripts", "src")
_PATH = re.compile(rf"`((?:{'|'.join(_FOLDERS)})/[\w./-]*)`")
_MODULE = re.compile(rf"\bonionskin((?:\.(?:{'|'.join(_PACKAGES)}))(?:\.\w+)*)")
_IMPORT = re.compile(r"^from onionskin\.([\w.]+) import ([\w, ]+)", re.MULTILINE)
_PAGES = sorted([*repository().glob("*.md"), *(repository() / "docs").rglob("*.md")])


def _missing_paths(text: str) -> list[str]:
    return [path for path in _PATH.findall(text) if not (repository() / path).exists()]


def _missing_modules(text: str) -> list[str]:
    """Modules that are no file; the last part may be a name in the module before it."""
    imports = [
        f".{module}.{name.strip()}"
        for module, names in _IMPORT.findall(text)
        for name in names.split(",")
    ]
    names = [*_MODULE.findall(text), *imports]
    return [f"onionskin{name}" for name in names if not _resolves(name)]


def _resolves(name: str) -> bool:
    *folders, last = name.lstrip(".").split(".")
    parent = repository().joinpath(*folders)
    path = parent / last
    if path.is_dir() or path.with_suffix(".py").is_file():
        return True
    return bool(folders) and _names(parent, last)


def _names(module: Path, name: str) -> bool:
    file = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
    return file.is_file() and re.search(rf"\b{name}\b", file.read_text()) is not None


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_paths_and_modules_exist(page: Path) -> None:
    text = page.read_text()
    assert _missing_paths(text) == []
    assert _missing_modules(text) == []


def test_a_missing_path_is_found() -> None:
    assert _missing_paths("`memory/types/` and `memory/no_such.py`") == ["memory/no_such.py"]
    text = (
        "onionskin.memory.types and onionskin.memory.no_such.thing, "
        "onionskin.memory.errors.OnionskinError, onionskin.toml, onionskin.call_tool"
    )
    assert _missing_modules(text) == ["onionskin.memory.no_such.thing"]
    text = "from onionskin.memory.errors import OnionskinError, NoSuchError\n"
    assert _missing_modules(text) == ["onionskin.memory.errors.NoSuchError"]
