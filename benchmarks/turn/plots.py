"""Plots of a run, with matplotlib of the extra `bench`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from onionskin.benchmarks.turn.figures import Cell, Figures, Size
from onionskin.benchmarks.turn.sides import CLASSIC, LAYERED

_SIZE, _WHOLE = (8.0, 4.5), 100
_GROWING = (LAYERED, CLASSIC)


def draw(figures: Figures, folder: Path) -> dict[str, Path]:
    """Draw the plots as SVG; the file of each, by title.

    Raises:
        ImportError: Matplotlib is not installed.
    """
    import matplotlib as mpl  # noqa: PLC0415 - heavy

    mpl.use("agg")
    mpl.rcParams["svg.hashsalt"] = "onionskin"
    folder.mkdir(parents=True, exist_ok=True)
    first = figures.cells[0].history
    alone = [cell for cell in figures.cells if cell.clients == 1 and cell.history == first]
    return {
        "A turn of one client": _bars(
            [cell.side for cell in alone],
            {"p50": [cell.p50_ms for cell in alone], "p99": [cell.p99_ms for cell in alone]},
            "ms (logarithmic)",
            folder / "turn-latency.svg",
        ),
        "Turns a second": _lines(
            [cell for cell in figures.cells if cell.history == first],
            lambda cell: (cell.clients, cell.turns_per_second),
            ("clients", "turns a second"),
            folder / "turn-throughput.svg",
        ),
        "Turns a second of one processor": _lines(
            [cell for cell in figures.cells if cell.history == first and cell.turns_per_cpu_second],
            lambda cell: (cell.clients, cell.turns_per_cpu_second or 0.0),
            ("clients", "turns a second of processor time, Redis included"),
            folder / "turn-processor.svg",
        ),
        "A turn by the length of the history": _lines(
            [cell for cell in figures.cells if cell.clients == 1],
            lambda cell: (cell.history, cell.p50_ms),
            ("earlier turns of the user (logarithmic)", "p50, ms (logarithmic)"),
            folder / "turn-history.svg",
            scale="log",
        ),
        "The first token": _bars(
            list(figures.first_token_ms),
            {"p50": list(figures.first_token_ms.values())},
            "ms",
            folder / "turn-first-token.svg",
            scale="linear",
        ),
        "Calls a turn": _bars(
            [calls.side for calls in figures.calls],
            {
                "of the model": [calls.model_calls for calls in figures.calls],
                "of the embedder": [calls.embedding_calls for calls in figures.calls],
                "of it, awaited": [calls.awaited_embedding_calls for calls in figures.calls],
            },
            "calls",
            folder / "turn-calls.svg",
            scale="linear",
        ),
        "Prompt tokens a turn": _bars(
            [calls.side for calls in figures.calls],
            {
                "whole": [calls.prompt_tokens for calls in figures.calls],
                "cacheable": [calls.prompt_tokens * calls.cacheable for calls in figures.calls],
            },
            "tokens",
            folder / "turn-prompts.svg",
            scale="linear",
        ),
        "Bytes in Redis by the length of the history": _lines(
            [cell for cell in figures.cells if cell.side in _GROWING and cell.clients == 1],
            lambda cell: (cell.history, float(_size(figures, cell).redis_bytes or 0)),
            ("earlier turns of the user (logarithmic)", "bytes (logarithmic)"),
            folder / "turn-bytes.svg",
            scale="log",
        ),
        "Bytes in the server by the length of the history": _lines(
            [cell for cell in figures.cells if cell.side in _GROWING and cell.clients == 1],
            lambda cell: (cell.history, float(_size(figures, cell).resident_bytes or 0)),
            ("earlier turns of the user (logarithmic)", "bytes (logarithmic)"),
            folder / "turn-resident.svg",
            scale="log",
        ),
    }


def _size(figures: Figures, cell: Cell) -> Size:
    for size in figures.sizes:
        if (size.side, size.history) == (cell.side, cell.history):
            return size
    return Size(cell.side, cell.history, 1, None, None)


def _bars(
    names: Sequence[str],
    groups: dict[str, list[float]],
    y: str,
    file: Path,
    *,
    scale: str = "log",
) -> Path:
    figure, axes = _figure("", y)
    width = 0.8 / len(groups)
    for number, (label, values) in enumerate(groups.items()):
        places = [place + (number - (len(groups) - 1) / 2) * width for place in range(len(names))]
        bars = axes.bar(places, values, width, label=label)
        labels = [f"{value:,.0f}" if value >= _WHOLE else f"{value:.3g}" for value in values]
        axes.bar_label(bars, labels, fontsize=8, padding=2)
    axes.set_yscale(scale)
    axes.set_xticks(range(len(names)), [name.replace(", ", ",\n") for name in names], fontsize=8)
    axes.legend(frameon=False)
    return _save(figure, file)


def _lines(
    cells: Sequence[Cell],
    point: Callable[[Cell], tuple[float, float]],
    labels: tuple[str, str],
    file: Path,
    *,
    scale: str = "linear",
) -> Path:
    figure, axes = _figure(*labels)
    for side in dict.fromkeys(cell.side for cell in cells):
        points = sorted(point(cell) for cell in cells if cell.side == side)
        axes.plot(*zip(*points, strict=True), marker="o", label=side)
    axes.set_xscale(scale)
    axes.set_yscale(scale)
    figure.legend(frameon=False, loc="outside right upper")  # outside of the lines
    return _save(figure, file)


def _figure(x: str, y: str) -> tuple[Any, Any]:
    from matplotlib import pyplot as plt  # noqa: PLC0415 - heavy

    figure, drawn = plt.subplots(figsize=_SIZE, layout="constrained")
    axes = cast("Any", drawn)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(visible=True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Any, file: Path) -> Path:
    from matplotlib import pyplot as plt  # noqa: PLC0415 - heavy

    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)
    return file
