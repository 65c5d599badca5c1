"""Plots of a comparison, with matplotlib of the extra `experiments`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from onionskin.experiments.profile_comparison import Cell
from onionskin.experiments.report import Row
from onionskin.memory.errors import ConfigurationError

_SIZE = (9.0, 5.0)
_SMOOTH = 15
_CLOSE = 8.0


def draw(cells: Sequence[Cell], rows: Sequence[Row], out: Path) -> dict[str, tuple[Path, str]]:
    """Draw the plots that the figures allow; the file and caption of each, by title.

    Raises:
        ConfigurationError: Matplotlib is not installed.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415 - the extra `experiments`
    except ImportError as error:
        raise ConfigurationError(
            "Plots need matplotlib: pip install 'onionskin[experiments]'."
        ) from error
    mpl.use("agg")
    plots = {
        "Prompt tokens over turns": (
            _over_turns(cells, rows, out / "tokens.png"),
            "How long the prompt grows as the conversation goes on, averaged over conversations.",
        )
    }
    if any(row.coverage for row in rows):
        plots["Cost against coverage"] = (
            _cost(rows, out / "cost.png"),
            "Up is better, left is cheaper. Bars are 95% intervals.",
        )
        plots["Coverage by category"] = (
            _by_category(rows, out / "categories.png"),
            "The share of the evidence in the prompt, by category of the question.",
        )
    return plots


def _cost(rows: Sequence[Row], file: Path) -> Path:
    figure, axes = _figure("prompt tokens a turn (logarithmic)", "evidence in the prompt, %")
    axes.set_xscale("log")
    axes.xaxis.set_minor_formatter("")  # labels between decades would overlap
    placed: list[tuple[float, float]] = []
    for row in rows:
        if row.coverage:
            mean = row.coverage.mean
            point = (max(row.prompt_tokens, 1), mean)
            overlaps = sum(_overlap(point, other) for other in placed)
            placed.append(point)
            error = [[mean - row.coverage.low], [row.coverage.high - mean]]
            drawn = axes.errorbar(*point, yerr=error, fmt="o", capsize=3)
            axes.annotate(
                row.profile,
                point,
                xytext=(8, 5 + 12 * overlaps),
                textcoords="offset points",
                color=drawn.lines[0].get_color(),
            )
    axes.set_ylim(-4, 104)
    axes.margins(x=0.2)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_formatter("{x:,.0f}")
    return _save(figure, file)


def _overlap(a: tuple[float, float], b: tuple[float, float]) -> bool:
    """Whether the labels of two points overlap."""
    return max(a[0], b[0]) < 2 * min(a[0], b[0]) and abs(a[1] - b[1]) < _CLOSE


def _over_turns(cells: Sequence[Cell], rows: Sequence[Row], file: Path) -> Path:
    figure, axes = _figure("turn", "prompt tokens")
    for row in rows:
        runs = [cell.prompt_tokens for cell in cells if cell.profile == row.profile]
        length = min(len(run) for run in runs)
        mean = np.mean([run[:length] for run in runs], axis=0)
        window = min(_SMOOTH, length)
        smooth = np.convolve(mean, np.ones(window) / window, mode="valid")
        axes.plot(np.arange(window, length + 1), smooth, label=row.profile)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return _save(figure, file)


def _by_category(rows: Sequence[Row], file: Path) -> Path:
    figure, axes = _figure("", "evidence in the prompt, %")
    rated = [row for row in rows if row.by_category]
    categories = list(dict.fromkeys(name for row in rated for name in row.by_category))
    places, width = np.arange(len(categories)), 0.8 / max(len(rated), 1)
    for number, row in enumerate(rated):
        means = [
            row.by_category[name].mean if name in row.by_category else 0 for name in categories
        ]
        axes.bar(places + (number - (len(rated) - 1) / 2) * width, means, width, label=row.profile)
    axes.set_xticks(places, categories)
    axes.set_ylim(0, 104)
    axes.legend(
        frameon=False, ncols=min(len(rated), 5), loc="upper center", bbox_to_anchor=(0.5, 1.2)
    )
    return _save(figure, file)


def _figure(x: str, y: str) -> tuple[Any, Any]:
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, drawn = plt.subplots(figsize=_SIZE, layout="constrained")
    axes = cast("Any", drawn)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(visible=True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Any, file: Path) -> Path:
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure.savefig(file, dpi=144)
    plt.close(figure)
    return file
