"""`strata bench`: what a turn costs, beside others."""

from pathlib import Path
from typing import Annotated

import typer

_ROOT = Path(__file__).parents[1]

app = typer.Typer(help="Measure speed beside other designs.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Measure speed beside other designs."""


@app.command(epilog="Example: strata bench turn --quick --json out.json")
def turn(
    quick: Annotated[  # noqa: FBT002 - flags
        bool, typer.Option("--quick", help="In a minute and a half; fails only far from a bound.")
    ] = False,
    json_out: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
    out: Annotated[Path | None, typer.Option(help="Draw the pictures into this folder.")] = None,
    write_docs: Annotated[  # noqa: FBT002
        bool, typer.Option("--write-docs", help="Write docs/performance.md and README's table.")
    ] = False,
) -> None:
    """Measure a turn of Strata, of a bare endpoint, and of other memories, side by side.

    Ends with 1 when a bound is missed; with --quick, when a ratio is worse than twice its bound.
    """
    from importlib.util import find_spec  # noqa: PLC0415 - each command loads what it needs

    from rich.console import Console  # noqa: PLC0415

    from benchmarks.turn.bounds import bounds  # noqa: PLC0415
    from benchmarks.turn.docs import write_docs as write  # noqa: PLC0415
    from benchmarks.turn.plan import FULL, QUICK  # noqa: PLC0415
    from benchmarks.turn.plots import draw  # noqa: PLC0415
    from benchmarks.turn.report import show, write_json  # noqa: PLC0415
    from benchmarks.turn.run import measure  # noqa: PLC0415
    from memory.errors import ConfigurationError  # noqa: PLC0415

    if (out or write_docs) and find_spec("matplotlib") is None:
        raise ConfigurationError("Pictures need matplotlib: pip install 'strata-memory[bench]'.")
    console = Console()
    figures = measure(QUICK if quick else FULL, console)
    show(figures, console)
    if json_out:
        write_json(figures, json_out)
    if out:
        draw(figures, out)
    if write_docs:
        write(figures, draw(figures, _ROOT / "docs" / "images"), _ROOT)
    missed = [one for one in bounds(figures) if (one.is_far_off if quick else not one.is_kept)]
    raise typer.Exit(1 if missed else 0)


@app.command(epilog="Example: strata bench scaling --json out.json")
def scaling(
    json_out: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
    write_docs: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--write-docs", help="Write docs/scaling.md and its picture.")
    ] = False,
) -> None:
    """Measure what a user and a turn cost, and simulate what a cluster serves by it."""
    from rich.console import Console  # noqa: PLC0415 - each command loads what it needs

    from benchmarks.scaling.docs import write  # noqa: PLC0415
    from benchmarks.scaling.report import show, tables  # noqa: PLC0415
    from benchmarks.scaling.run import find  # noqa: PLC0415

    console = Console()
    found = find(console)
    console.print(f"[dim]{found.hardware}[/]")
    sections = tables(found)
    show(sections, console)
    if json_out:
        json_out.write_bytes(found.as_json())
    if write_docs:
        write(found, sections, _ROOT)
