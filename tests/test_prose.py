"""Words that our prose and names avoid, because a plainer one says the same.

Each of these was used here for many things: `told` for reported, notified, logged and printed;
`stands` for is, is stored and waits; `at hand` for cached and given. A reader has to guess.

Checked are docstrings, comments, names and texts of the code, and the Markdown. Of tests only
docstrings, comments and names of functions are: their other texts are what people say.
"""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import repository

_WORDS = {
    "told": "reported, notified, received",
    "tells": "reports, returns, shows",
    "anew": "again",
    "whoever": "the caller, the client, the worker",
    "meanwhile": "at the same time, concurrently",
    "stands": "is, is stored",
    "bears on": "is relevant to",
    "at hand": "cached, available",
    "for ever": "indefinitely, without a limit",
    "of which": "a sentence of its own",
    "that before": "a sentence of its own",
    "be it": "if, whether",
    "past its time": "expired",
}
"""Each avoided word, and plainer ones."""

_CHECKED = (
    *("benchmarks", "chains", "client", "deploy", "docs", "experiments", "memory", "scripts"),
    *("service", "tests", "*"),
)
"""Folders that are clean already; `*` are the files at the top level."""

_CODE = {".py"}
_TEXT = {".lua", ".js", ".css", ".html", ".toml", ".yaml", ".yml", ".md", ".svg"}
_OWN_NAMES = {"Makefile", "Dockerfile"}
_GAP = r"[\s#*/-]+"  # between words of a phrase; it may be broken over lines of a comment
_PATTERN = re.compile(
    rf"\b(?:{'|'.join(word.replace(' ', _GAP) for word in _WORDS)})\b", re.IGNORECASE
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_")


def _words_of(name: str) -> str:
    """A name as words: `whatIsTold` and `what_is_told` are `what is told`."""
    return _CAMEL.sub(" ", name)


def _split_names(text: str) -> str:
    return re.sub(r"\w+", lambda match: _words_of(match[0]), text)


def _python_texts(source: str, *, is_test: bool) -> Iterator[tuple[int, str]]:
    """Line and text of each docstring, comment, name and string; see the module's docstring."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
        elif token.type == tokenize.NAME and not is_test:
            yield token.start[0], _words_of(token.string)
    tree = ast.parse(source)
    docstrings = set(_docstrings(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if not is_test or node in docstrings:
                yield node.lineno, node.value
        elif is_test and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, _words_of(node.name)


def _docstrings(tree: ast.AST) -> Iterator[ast.Constant]:
    """Texts that are statements: docstrings, also those below a variable."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value


def _findings(path: Path, name: str) -> list[str]:
    text = path.read_text()
    if path.suffix in _CODE:
        texts = _python_texts(text, is_test=name.startswith("tests/"))
    else:
        texts = iter([(1, _split_names(text))])
    return sorted(
        f"{name}:{line + part.count(chr(10), 0, match.start())}: {match[0]!r}"
        for line, part in texts
        for match in _PATTERN.finditer(part)
    )


def _files(folder: str) -> Iterator[tuple[Path, str]]:
    """Tracked files of a folder, of the kinds that are prose or code of ours."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=repository(), capture_output=True, text=True, check=True
    )
    for name in filter(None, listing.stdout.split("\0")):
        path = repository() / name
        is_inside = "/" not in name if folder == "*" else name.startswith(f"{folder}/")
        is_ours = path.suffix in _CODE | _TEXT or path.name in _OWN_NAMES
        if is_inside and is_ours and path.is_file() and name != "tests/test_prose.py":
            yield path, name


@pytest.mark.parametrize("folder", _CHECKED)
def test_prose_and_names_are_plain(folder: str) -> None:
    files = list(_files(folder))
    assert files
    assert [finding for path, name in files for finding in _findings(path, name)] == []


def test_an_avoided_word_is_found_where_it_counts(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(
        '"""Waits for\never."""\n'
        "# be it so\n"
        "def is_told(whatTells):\n"
        '    return "anew", whatTells, "behold", retold\n'
    )
    assert _findings(file, "memory/module.py") == [
        "memory/module.py:1: 'for\\never'",
        "memory/module.py:3: 'be it'",
        "memory/module.py:4: 'Tells'",
        "memory/module.py:4: 'told'",
        "memory/module.py:5: 'Tells'",
        "memory/module.py:5: 'anew'",
    ]
    assert _findings(file, "tests/module.py") == [
        "tests/module.py:1: 'for\\never'",
        "tests/module.py:3: 'be it'",
        "tests/module.py:4: 'told'",
    ]
    script = tmp_path / "script.js"
    script.write_text("const isTold = 1; // whoever\n")
    assert len(_findings(script, "service/web/script.js")) == 2
