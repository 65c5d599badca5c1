"""`onionskin bench`: what a turn costs, beside others."""

import json
from pathlib import Path
from typing import Annotated

import typer

from onionskin.service.cli.exit_codes import ExitCode
from onionskin.service.cli.options import AsJson, example

_ROOT = Path(__file__).resolve().parents[1]

app = typer.Typer(
    help="Measure speed beside other designs.",
    no_args_is_help=True,
    add_completion=False,
    epilog=example("onionskin bench turn --quick"),
)


@app.callback()
def _group() -> None:
    """Measure speed beside other designs."""


@app.command(epilog=example("onionskin bench turn --quick --json > turn.json"))
def turn(
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="In a minute and a half; fails only far from a bound.")
    ] = False,
    as_json: AsJson = False,
    out: Annotated[Path | None, typer.Option(help="Draw the pictures into this folder.")] = None,
    write_docs: Annotated[
        bool, typer.Option("--write-docs", help="Write docs/performance.md and README's table.")
    ] = False,
) -> None:
    """Measure a turn of Onionskin, of a bare endpoint, and of other memories, side by side.

    Ends with 1 when a bound is missed; with --quick, when a ratio is worse than twice its bound.
    """
    from importlib.util import find_spec

    from rich.console import Console

    from onionskin.benchmarks.turn.bounds import bounds
    from onionskin.benchmarks.turn.docs import write_docs as write
    from onionskin.benchmarks.turn.plan import FULL, QUICK
    from onionskin.benchmarks.turn.plots import draw
    from onionskin.benchmarks.turn.report import as_data, show
    from onionskin.benchmarks.turn.run import measure
    from onionskin.memory.errors import ConfigurationError
    from onionskin.service.console import say_json

    if (out or write_docs) and find_spec("matplotlib") is None:
        raise ConfigurationError("Pictures need matplotlib: pip install 'onionskin[bench]'.")
    figures = measure(QUICK if quick else FULL)
    if as_json:
        say_json(as_data(figures))
    else:
        show(figures, Console())
    if out:
        draw(figures, out)
    if write_docs:
        write(figures, draw(figures, _ROOT / "docs" / "images"), _ROOT)
    missed = [one for one in bounds(figures) if (one.is_far_off if quick else not one.is_kept)]
    raise typer.Exit(ExitCode.FAILED if missed else ExitCode.OK)


@app.command(epilog=example("onionskin bench scaling --json > scaling.json"))
def scaling(
    *,
    as_json: AsJson = False,
    write_docs: Annotated[
        bool, typer.Option("--write-docs", help="Write docs/scaling.md and its picture.")
    ] = False,
) -> None:
    """Measure what a user and a turn cost, and simulate what a cluster serves by it."""
    from rich.console import Console

    from onionskin.benchmarks.scaling.docs import write
    from onionskin.benchmarks.scaling.report import show, tables
    from onionskin.benchmarks.scaling.run import find
    from onionskin.service.console import say_json

    console = Console()
    found = find(Console(stderr=True))
    sections = tables(found)
    if as_json:
        say_json(json.loads(found.as_json()))
    else:
        console.print(f"[dim]{found.hardware}[/]")
        show(sections, console)
    if write_docs:
        write(found, sections, _ROOT)
