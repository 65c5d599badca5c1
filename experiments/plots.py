"""The pictures of a comparison; needs the extra `experiments`."""

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
    """Draw what there is to see; by title, each picture's file and what it says.

    Raises:
        ConfigurationError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415 - the extra `experiments`
    except ImportError as error:
        raise ConfigurationError(
            "Plots need matplotlib: pip install 'onionskin[experiments]'."
        ) from error
    mpl.use("agg")
    made = {
        "Prompt tokens over turns": (
            _over_turns(cells, rows, out / "tokens.png"),
            "How long the prompt grows as the conversation goes on, averaged over conversations.",
        )
    }
    if any(row.coverage for row in rows):
        made["Cost against coverage"] = (
            _cost(rows, out / "cost.png"),
            "Up is better, left is cheaper. Bars are 95% intervals.",
        )
        made["Coverage by category"] = (
            _by_category(rows, out / "categories.png"),
            "The share of the evidence that reached the model, by kind of question.",
        )
    return made


def _cost(rows: Sequence[Row], file: Path) -> Path:
    figure, axes = _figure("prompt tokens a turn (logarithmic)", "evidence in the prompt, %")
    axes.set_xscale("log")
    axes.xaxis.set_minor_formatter("")  # between decades labels would lie on each other
    placed: list[tuple[float, float]] = []
    for row in rows:
        if row.coverage:
            mean = row.coverage.mean
            here = (max(row.prompt_tokens, 1), mean)
            crowd = sum(_near(here, other) for other in placed)
            placed.append(here)
            error = [[mean - row.coverage.low], [row.coverage.high - mean]]
            drawn = axes.errorbar(*here, yerr=error, fmt="o", capsize=3)
            axes.annotate(
                row.profile,
                here,
                xytext=(8, 5 + 12 * crowd),
                textcoords="offset points",
                color=drawn.lines[0].get_color(),
            )
    axes.set_ylim(-4, 104)
    axes.margins(x=0.2)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_formatter("{x:,.0f}")
    return _save(figure, file)


def _near(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether the labels of two points would lie upon each other."""
    return max(one[0], other[0]) < 2 * min(one[0], other[0]) and abs(one[1] - other[1]) < _CLOSE


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
    shown = [row for row in rows if row.by_category]
    categories = list(dict.fromkeys(one for row in shown for one in row.by_category))
    places, width = np.arange(len(categories)), 0.8 / max(len(shown), 1)
    for number, row in enumerate(shown):
        means = [row.by_category[one].mean if one in row.by_category else 0 for one in categories]
        axes.bar(places + (number - (len(shown) - 1) / 2) * width, means, width, label=row.profile)
    axes.set_xticks(places, categories)
    axes.set_ylim(0, 104)
    axes.legend(
        frameon=False, ncols=min(len(shown), 5), loc="upper center", bbox_to_anchor=(0.5, 1.2)
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
