"""What commands print: outcomes on standard output, talk and progress on standard error.

Nothing of a text is taken for markup, and no control character of it reaches a terminal.
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
_KEPT = {ord("\n"), ord("\t")}
_CONTROLS = dict.fromkeys({*range(0x20), *range(0x7F, 0xA0)} - _KEPT, "\N{REPLACEMENT CHARACTER}")


def say(text: str, *, style: str = "", end: str = "\n") -> None:
    """Print to standard output; a line stays a line, however long."""
    _print(console(), text, style, end)


def counted(number: int, one: str, many: str = "") -> str:
    """A number of things: `1 session`, `2 sessions`."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def say_json(value: object) -> None:
    """Print a line of JSON to standard output, at once."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def remark(text: str, *, style: str = "") -> None:
    """Print to standard error."""
    _print(console(stderr=True), text, style, "\n")


def complain(text: str) -> None:
    """Tell on standard error what went wrong, in one line."""
    to = console(stderr=True)
    _print(to, "onionskin: ", "bold red", "")
    _print(to, text, "", "\n")


def confirm(question: str) -> None:
    """Ask on standard error, and go on for a yes alone.

    Raises:
        Abort: it was another answer, or none.
    """
    to = console(stderr=True)
    _print(to, f"{question} [y/N] ", "", "")
    answer = sys.stdin.readline()
    if not answer:
        _print(to, "Nobody answers here; --yes does not ask.", "", "\n")
    if answer.strip().lower() not in {"y", "yes"}:
        raise typer.Abort


def say_table(headings: Sequence[str], rows: Iterable[tuple[Sequence[str], str]]) -> None:
    """Print a table to standard output.

    Args:
        headings: of its columns.
        rows: the cells of each row, and its style.
    """
    table = Table(*headings, box=None, header_style="dim", pad_edge=False)
    for cells, style in rows:
        table.add_row(*(Text(cell.translate(_CONTROLS)) for cell in cells), style=style)
    console().print(table)


def console(*, stderr: bool = False) -> Console:
    """Standard output or error; where that is no terminal, tables are as wide as they like."""
    made = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not made.is_terminal:
        made.width = _UNBOUNDED
    return made


def progress(*columns: ProgressColumn) -> Progress:
    """Progress on standard error where that is a terminal; nothing elsewhere."""
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
