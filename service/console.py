"""Output of commands: results on standard output, messages and progress on standard error.

Texts are never read as markup, and their control characters are replaced.
"""

import json
import sys
from collections.abc import Iterable, Sequence

import typer
from rich.console import Console
from rich.progress import Progress, ProgressColumn
from rich.table import Table
from rich.text import Text

_UNBOUNDED = 10_000
_ALLOWED = {ord("\n"), ord("\t")}
_CONTROLS = dict.fromkeys(
    {*range(0x20), *range(0x7F, 0xA0)} - _ALLOWED, "\N{REPLACEMENT CHARACTER}"
)


def say(text: str, *, style: str = "", end: str = "\n") -> None:
    """Print to standard output, without wrapping lines."""
    _print(console(), text, style, end)


def counted(number: int, singular: str, plural: str = "") -> str:
    """A number with its noun: `1 session`, `2 sessions`."""
    return f"{number} {singular if number == 1 else plural or f'{singular}s'}"


def say_json(value: object) -> None:
    """Print a line of JSON to standard output and flush it."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def remark(text: str, *, style: str = "") -> None:
    """Print to standard error."""
    _print(console(stderr=True), text, style, "\n")


def complain(text: str) -> None:
    """Print an error to standard error, in one line."""
    to = console(stderr=True)
    _print(to, "onionskin: ", "bold red", "")
    _print(to, text, "", "\n")


def confirm(question: str) -> None:
    """Ask on standard error; return only after a yes.

    Raises:
        Abort: The answer is not yes, or there is none.
    """
    to = console(stderr=True)
    _print(to, f"{question} [y/N] ", "", "")
    answer = sys.stdin.readline()
    if not answer:
        _print(
            to,
            "No input to read an answer from; --yes skips the question.",
            "",
            "\n",
        )
    if answer.strip().lower() not in {"y", "yes"}:
        raise typer.Abort


def say_table(headings: Sequence[str], rows: Iterable[tuple[Sequence[str], str]]) -> None:
    """Print a table to standard output.

    Args:
        headings: Headings of the columns.
        rows: Cells and style of each row.
    """
    table = Table(*headings, box=None, header_style="dim", pad_edge=False)
    for cells, style in rows:
        table.add_row(*(Text(cell.translate(_CONTROLS)) for cell in cells), style=style)
    console().print(table)


def console(*, stderr: bool = False) -> Console:
    """A console on standard output or error; without a terminal, tables have any width."""
    result = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not result.is_terminal:
        result.width = _UNBOUNDED
    return result


def progress(*columns: ProgressColumn) -> Progress:
    """Progress on standard error, if that is a terminal."""
    to = console(stderr=True)
    return Progress(
        *columns,
        console=to,
        disable=not to.is_terminal,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )


def _print(to: Console, text: str, style: str, end: str) -> None:
    to.print(Text(text.translate(_CONTROLS), style), end=end, soft_wrap=True)
