"""Reports of a comparison: a table in the terminal, JSON, CSV, and an HTML page with plots."""

import base64
import csv
import html
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from onionskin.experiments.profile_comparison import Cell
from onionskin.experiments.statistics import Estimate, estimate

_STYLE = """
:root { color-scheme: light dark; --line: #8884; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; }
.scroll { overflow-x: auto; }
figure { margin: 2rem 0; } img { max-width: 100%; background: #fff; border-radius: 6px; }
figcaption { opacity: .8; }
"""


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of a profile over all conversations."""

    profile: str
    coverage: Estimate | None
    by_category: dict[str, Estimate]
    by_layer: dict[str, float]
    prompt_tokens: float
    prompt_tokens_last: float
    memory_calls_per_turn: float
    milliseconds_p50: float
    milliseconds_p99: float
    f1: float | None
    right: float | None


def rows_of(cells: Sequence[Cell]) -> list[Row]:
    """A row for each profile, in the order of the command line."""
    return [
        _row(name, [cell for cell in cells if cell.profile == name])
        for name in dict.fromkeys(cell.profile for cell in cells)
    ]


def _row(name: str, cells: Sequence[Cell]) -> Row:
    coverage = [share for cell in cells for share in cell.coverage]
    categories = [category for cell in cells for category in cell.categories]
    tokens = [count for cell in cells for count in cell.prompt_tokens]
    last = [count for cell in cells for count in cell.prompt_tokens[-20:]]
    times = [time for cell in cells for time in cell.milliseconds]
    layers = dict.fromkeys(layer for cell in cells for layer in cell.by_layer)
    f1 = [cell.f1 for cell in cells if cell.f1 is not None]
    right = [cell.right for cell in cells if cell.right is not None]
    return Row(
        name,
        estimate(coverage) if coverage else None,
        {
            category: estimate(
                [share for share, own in zip(coverage, categories, strict=True) if own == category]
            )
            for category in dict.fromkeys(categories)
        },
        {
            layer: round(100 * float(np.mean([cell.by_layer.get(layer, 0) for cell in cells])), 1)
            for layer in layers
        },
        round(float(np.mean(tokens)), 1),
        round(float(np.mean(last)), 1),
        round(sum(cell.memory_calls for cell in cells) / len(tokens), 3),
        round(float(np.percentile(times, 50)), 2),
        round(float(np.percentile(times, 99)), 2),
        round(100 * float(np.mean(f1)), 1) if f1 else None,
        round(100 * float(np.mean(right)), 1) if right else None,
    )


_HEADS = (
    "profile",
    "evidence",
    "95%",
    "tokens",
    "last 20",
    "calls",
    "ms p50",
    "p99",
    "F1",
    "right",
)


_LEGEND = (
    "Evidence, %: the share of the messages with the answer that are in the prompt, "
    "verbatim. Tokens: prompt of a turn, on average and over the last 20 turns. Calls: model "
    "calls per turn, including the answer. Milliseconds: a turn with a model without latency."
)


def _cells(row: Row) -> tuple[str, ...]:
    coverage = row.coverage
    return (
        row.profile,
        f"{coverage.mean:.1f}" if coverage else "-",
        f"{coverage.low:.0f}-{coverage.high:.0f}" if coverage else "-",
        f"{row.prompt_tokens:.0f}",
        f"{row.prompt_tokens_last:.0f}",
        f"{1 + row.memory_calls_per_turn:.2f}",
        f"{row.milliseconds_p50:.1f}",
        f"{row.milliseconds_p99:.1f}",
        "-" if row.f1 is None else f"{row.f1:.1f}",
        "-" if row.right is None else f"{row.right:.1f}",
    )


def _column_count(rows: Sequence[Row]) -> int:
    """End of the columns; those of answers are shown only if there are answers."""
    return len(_HEADS) if any(row.f1 is not None for row in rows) else -2


def show(rows: Sequence[Row], console: Console) -> None:
    """Print the table."""
    table = Table(title="Memory profiles compared", title_justify="left")
    end = _column_count(rows)
    table.add_column(_HEADS[0], overflow="fold")  # wraps in a narrow terminal
    for head in _HEADS[1:end]:
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row)[:end])
    console.print(table)
    console.print(f"[dim]{_LEGEND}[/]")


def as_data(rows: Sequence[Row], about: str) -> dict[str, Any]:
    """The rows of the table, as JSON data."""
    return {"about": about, "profiles": [asdict(row) for row in rows]}


def write_report(
    cells: Sequence[Cell], plots: dict[str, tuple[Path, str]], out: Path, about: str
) -> None:
    """Write `report.json`, `report.csv` and `report.html`.

    Args:
        cells: The figures.
        plots: File and caption of each plot, by title.
        out: The folder.
        about: A sentence about the data.
    """
    rows = rows_of(cells)
    data = as_data(rows, about)
    (out / "report.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    with (out / "report.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["profile", "conversation", "category", "coverage", "prompt_tokens"])
        for cell in cells:
            questions = zip(cell.categories, cell.coverage, cell.question_tokens, strict=True)
            writer.writerows(
                [cell.profile, cell.conversation, category, round(share, 4), tokens]
                for category, share, tokens in questions
            )
    (out / "report.html").write_text(_page(rows, plots, about), encoding="utf-8")


def _page(rows: Sequence[Row], plots: dict[str, tuple[Path, str]], about: str) -> str:
    end = _column_count(rows)
    main = _table(_HEADS[:end], [_cells(row)[:end] for row in rows])
    categories = list(dict.fromkeys(name for row in rows for name in row.by_category))
    layers = list(dict.fromkeys(name for row in rows for name in row.by_layer))
    by_category = _table(
        ("profile", *categories),
        [
            (row.profile, *(f"{row.by_category[name].mean:.1f}" for name in categories))
            for row in rows
            if row.by_category
        ],
    )
    by_layer = _table(
        ("profile", *layers),
        [(row.profile, *(f"{row.by_layer.get(name, 0):.1f}" for name in layers)) for row in rows],
    )
    pictures = "\n".join(
        f'<figure><h2>{html.escape(title)}</h2><img alt="{html.escape(text)}" '
        f'src="data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}">'
        f"<figcaption>{html.escape(text)}</figcaption></figure>"
        for title, (file, text) in plots.items()
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Memory profiles compared</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>
<body><h1>Memory profiles compared</h1><p>{html.escape(about)}</p>
{main}
<p>{_LEGEND}</p>
{pictures}
<h2>Evidence in prompt by category, %</h2>{by_category}
<h2>Evidence in prompt by layer, %</h2>{by_layer}
</body></html>
"""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(tag: str, texts: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in texts) + "</tr>"

    body = "".join(line("td", row) for row in rows)
    return f'<div class="scroll"><table>{line("th", heads)}{body}</table></div>'
