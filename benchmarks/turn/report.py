"""The figures of a run as tables: in the terminal, and in Markdown."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from onionskin.benchmarks.turn.bounds import Bound, bounds
from onionskin.benchmarks.turn.figures import Cell, Figures

Row = Sequence[str]

LOADS = ("", "history", "clients", "p50 ms", "p99 ms", "turns/s", "turns/CPU s", "errors")
CALLS = (
    "",
    "turns",
    "model calls",
    "embedding calls",
    "awaited",
    "prompt tokens",
    "longest",
    "cacheable",
)
SIZES = ("", "history", "users", "bytes in Redis", "bytes in the server")
WAITS = ("", "first token, p50 ms", "model of 300 ms, p50 ms")
BOUNDS = ("bound", "measured", "limit", "")


def show(figures: Figures, console: Console) -> None:
    """Print the tables."""
    console.print(f"[dim]{figures.hardware}[/]")
    for title, heads, rows in tables(figures):
        table = Table(title=title, title_justify="left")
        for place, head in enumerate(heads):
            table.add_column(head, justify="right" if place else "left")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for reason in figures.left_out:
        console.print(reason)


def tables(figures: Figures) -> list[tuple[str, Row, list[Row]]]:
    """All tables: title, column heads and rows."""
    return [
        ("Turns under load", LOADS, [_load_row(cell) for cell in figures.cells]),
        ("Calls per turn of a new session", CALLS, list(_calls_rows(figures))),
        ("Bytes of a user", SIZES, list(_size_rows(figures))),
        ("Waiting", WAITS, list(_wait_rows(figures))),
        ("Bounds", BOUNDS, [_bound_row(bound) for bound in bounds(figures)]),
    ]


def as_data(figures: Figures) -> dict[str, Any]:
    """All figures and bounds, as JSON data."""
    results = [
        {"name": bound.name, "value": bound.value, "limit": bound.limit, "kept": bound.is_kept}
        for bound in bounds(figures)
    ]
    return {**msgspec.to_builtins(figures, str_keys=True), "bounds": results}


def markdown(heads: Row, rows: Iterable[Row]) -> str:
    """A table in Markdown."""
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _load_row(cell: Cell) -> Row:
    per_cpu = cell.turns_per_cpu_second
    return (
        cell.side,
        f"{cell.history:,}",
        str(cell.clients),
        f"{cell.p50_ms:.2f}",
        f"{cell.p99_ms:.1f}",
        f"{cell.turns_per_second:.0f}",
        "-" if per_cpu is None else f"{per_cpu:.0f}",
        str(cell.errors),
    )


def _calls_rows(figures: Figures) -> Iterable[Row]:
    for calls in figures.calls:
        yield (
            calls.side,
            f"{calls.turns:,}",
            f"{calls.model_calls:.2f}",
            f"{calls.embedding_calls:.2f}",
            f"{calls.awaited_embedding_calls:.2f}",
            f"{calls.prompt_tokens:.0f}",
            str(calls.most_prompt_tokens),
            f"{calls.cacheable:.0%}",
        )


def _size_rows(figures: Figures) -> Iterable[Row]:
    for size in figures.sizes:
        if size.redis_bytes is not None:
            resident = "-" if size.resident_bytes is None else f"{size.resident_bytes:,}"
            redis = f"{size.redis_bytes:,}"
            yield size.side, f"{size.history:,}", str(size.users), redis, resident


def _wait_rows(figures: Figures) -> Iterable[Row]:
    for side in dict.fromkeys((*figures.first_token_ms, *figures.slow_ms)):
        first, slow = figures.first_token_ms.get(side), figures.slow_ms.get(side)
        yield (
            side,
            "-" if first is None else f"{first:.2f}",
            "-" if slow is None else f"{slow:.1f}",
        )


def _bound_row(bound: Bound) -> Row:
    sign = "at least" if bound.at_least else "at most"
    result = "kept" if bound.is_kept else "MISSED"
    return bound.name, f"{bound.value:.3f}", f"{sign} {bound.limit:g}", result
