"""Generates client/sync_client.py from client/async_client.py by replacing tokens.

Run it after every change of the asynchronous client; `--check` fails if the generated file is
out of date.
"""

import argparse
import io
import sys
import tokenize
from pathlib import Path

_FOLDER = Path(__file__).resolve().parents[1] / "client"
_SOURCE, _TARGET = _FOLDER / "async_client.py", _FOLDER / "sync_client.py"
_HEADER = """\
# Generated from async_client.py by scripts/generate_sync_client.py: do not edit.
# ruff: noqa: UP028 - `yield from` has no asynchronous counterpart
"""
_DROPPED = frozenset({"async", "await"})
_NAMES = {
    "AsyncClient": "Client",
    "AsyncGenerator": "Generator",
    "AsyncIterable": "Iterable",
    "AsyncIterator": "Iterator",
    "OnionskinClient": "SyncOnionskinClient",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "aclose": "close",
    "aiter_bytes": "iter_bytes",
    "aiter_lines": "iter_lines",
    "aread": "read",
    "asynccontextmanager": "contextmanager",
    "asyncio": "time",
}
_PROSE = {
    "asynchronous": "synchronous",
    "async with ": "with ",
    "OnionskinClient": "SyncOnionskinClient",
}
"""Replacements inside of strings, such as docstrings."""


def generate(source: str) -> str:
    """The synchronous client as text.

    Args:
        source: Text of the asynchronous client.
    """
    lines = source.splitlines(keepends=True)
    pieces, row, column = list[str](), 1, 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.ENDMARKER:
            break
        if token.type in {tokenize.INDENT, tokenize.DEDENT}:
            continue
        pieces.append(_between(lines, (row, column), token.start))
        row, column = token.end
        if token.string in _DROPPED:
            while lines[row - 1][column] == " ":
                column += 1
        else:
            pieces.append(_replaced(token))
    return _HEADER + "".join(pieces)


def _between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    """The whitespace between two tokens."""
    (first, begin), (last, stop) = start, end
    if first == last:
        return lines[first - 1][begin:stop]
    middle = lines[first : last - 1]
    return lines[first - 1][begin:] + "".join(middle) + lines[last - 1][:stop]


def _replaced(token: tokenize.TokenInfo) -> str:
    if token.type == tokenize.NAME:
        return _NAMES.get(token.string, token.string)
    text = token.string
    if token.type == tokenize.STRING:
        for asynchronous, synchronous in _PROSE.items():
            text = text.replace(asynchronous, synchronous)
    return text


def main() -> None:
    """Write the file, or check it with `--check`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail if the file is out of date")
    check = parser.parse_args().check
    text = generate(_SOURCE.read_text(encoding="utf-8"))
    if not check:
        _TARGET.write_text(text, encoding="utf-8")
    elif _TARGET.read_text(encoding="utf-8") != text:
        sys.exit(f"{_TARGET.name} is out of date: run `python scripts/generate_sync_client.py`.")


if __name__ == "__main__":
    main()
