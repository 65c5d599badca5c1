"""Classes by their path: where they are searched, what they never replace, and what is wrong."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from onionskin.memory.dotted_path import load_object, source_files
from onionskin.memory.errors import ConfigurationError

_PURPOSE = "The layer of this test"


@pytest.fixture(autouse=True)
def restored_imports() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    def write_file(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    return write_file


def _refused(path: str, *folders: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_object(path, folders, _PURPOSE)
    assert str(caught.value).startswith(_PURPOSE)
    return str(caught.value)


@pytest.mark.parametrize(
    "path", ["own.Thing", "own:Thing", "inner.module.Thing", "inner.module:Thing"]
)
def test_a_class_is_found_in_a_module_or_package_of_a_folder(
    write: Callable[[str, str], Path], tmp_path: Path, path: str
) -> None:
    write("own.py", "class Thing: value = 1")
    write("inner/__init__.py", "")
    write("inner/module.py", "class Thing: value = 1")
    found = load_object(path, [tmp_path], _PURPOSE)
    assert getattr(found, "value", None) == 1


def test_a_nested_name_follows_a_colon(write: Callable[[str, str], Path], tmp_path: Path) -> None:
    write("own.py", "class Outer:\n    class Inner: value = 2")
    assert getattr(load_object("own:Outer.Inner", [tmp_path], _PURPOSE), "value", None) == 2


def test_the_first_folder_wins_also_after_the_other_was_loaded(
    write: Callable[[str, str], Path], tmp_path: Path
) -> None:
    write("one/own.py", "value = 'one'")
    write("two/own.py", "value = 'two'")
    one, two = tmp_path / "one", tmp_path / "two"
    assert load_object("own.value", [one, two], _PURPOSE) == "one"
    assert load_object("own.value", [two, one], _PURPOSE) == "two"
    assert load_object("own.value", [one], _PURPOSE) == "one"


def test_a_module_may_import_its_neighbours_also_later(
    write: Callable[[str, str], Path], tmp_path: Path
) -> None:
    write("own.py", "from near import value\ndef later():\n    import far\n    return far.value\n")
    write("near.py", "value = 3")
    write("far.py", "value = 4")
    assert load_object("own.value", [tmp_path], _PURPOSE) == 3
    later = load_object("own.later", [tmp_path], _PURPOSE)
    assert callable(later)
    assert later() == 4


def test_an_edited_module_or_neighbour_is_loaded_again(
    write: Callable[[str, str], Path], tmp_path: Path
) -> None:
    """Within the same second and with the same size, which bytecode would not notice."""
    write("own.py", "from near import value\nown = 1")
    write("near.py", "value = 1")
    assert load_object("own.value", [tmp_path], _PURPOSE) == 1
    write("near.py", "value = 2")
    assert load_object("own.value", [tmp_path], _PURPOSE) == 2
    write("own.py", "from near import value\nown = 2")
    assert load_object("own.own", [tmp_path], _PURPOSE) == 2
    assert not list(tmp_path.rglob("*.pyc"))


@pytest.mark.parametrize("name", ["random", "json", "onionskin", "numpy", "typer"])
def test_a_file_never_replaces_an_installed_module(
    write: Callable[[str, str], Path], tmp_path: Path, name: str
) -> None:
    file = write(f"{name}.py", "class Layer: pass\nraise SystemExit('imported')")
    message = _refused(f"{name}.Layer", tmp_path)
    assert repr(str(file)) in message
    assert "rename" in message
    write("own.py", f"import {name}\nvalue = {name}.__file__")
    found = load_object("own.value", [tmp_path], _PURPOSE)
    assert str(tmp_path) not in str(found)


def test_a_missing_module_names_where_it_was_searched(tmp_path: Path) -> None:
    other = tmp_path / "other"
    message = _refused("my_memories.FirstAndLast", tmp_path, other)
    assert "no module 'my_memories'" in message
    assert repr(str(tmp_path)) in message
    assert repr(str(other)) in message


def test_a_missing_name_offers_a_similar_one_or_lists_them(
    write: Callable[[str, str], Path], tmp_path: Path
) -> None:
    write("own.py", "class FirstAndLast: pass\nclass Other: pass")
    assert "Did you mean 'FirstAndLast'?" in _refused("own.FirstAndLats", tmp_path)
    assert "FirstAndLast, Other" in _refused("own.Zebra", tmp_path)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("import nowhere_to_be_found", "nowhere_to_be_found"),
        ("def f(:\n", "SyntaxError"),
        ("\n\n1 / 0", "line 3"),
        ("from near import missing", "missing"),
    ],
)
def test_a_module_that_fails_says_how_and_where(
    write: Callable[[str, str], Path], tmp_path: Path, text: str, named: str
) -> None:
    write("own.py", text)
    write("near.py", "")
    message = _refused("own.Thing", tmp_path)
    assert named in message
    assert "importing 'own' failed" in message


@pytest.mark.parametrize("path", ["Thing", ".Thing", "own.", "a b.Thing", "/tmp/own.py", ":x"])
def test_what_is_no_path_is_refused(path: str, tmp_path: Path) -> None:
    assert "module.Name" in _refused(path, tmp_path) or "no" in _refused(path, tmp_path)


def test_sources_are_the_module_its_bases_and_its_neighbours(
    write: Callable[[str, str], Path], tmp_path: Path
) -> None:
    write("base.py", "class Base: pass")
    write("own.py", "import near\nfrom base import Base\nclass Thing(Base): pass")
    write("near.py", "")
    write("unused.py", "")
    found = load_object("own.Thing", [tmp_path], _PURPOSE)
    assert {file.name for file in source_files(found)} == {"base.py", "own.py", "near.py"}
