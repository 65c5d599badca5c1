"""`onionskin bench`: measurements of a turn's speed, of scaling and of a turn's calls."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from onionskin.service.cli.exit_codes import ExitCode
from onionskin.service.cli.options import AsJson, example, profile_names

_ROOT = Path(__file__).resolve().parents[1]

app = typer.Typer(
    help="Measure speed, and compare it with other designs.",
    no_args_is_help=True,
    add_completion=False,
    epilog=example("onionskin bench turn --quick"),
)


@app.callback()
def _group() -> None:
    """Measure speed, and compare it with other designs."""


@app.command(epilog=example("onionskin bench turn --quick --json > turn.json"))
def turn(
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="Take 90 seconds; fail only far from a bound.")
    ] = False,
    as_json: AsJson = False,
    out: Annotated[Path | None, typer.Option(help="Folder for the plots.")] = None,
    write_docs: Annotated[
        bool, typer.Option("--write-docs", help="Write docs/performance.md and README's table.")
    ] = False,
) -> None:
    """Measure a turn of Onionskin, of an endpoint without memory, and of other memories.

    Exits with 1 if a bound is missed; with --quick, if a ratio is worse than twice its bound.
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
        raise ConfigurationError("Plots need matplotlib: pip install 'onionskin[bench]'.")
    figures = measure(QUICK if quick else FULL)
    if as_json:
        say_json(as_data(figures))
    else:
        show(figures, Console())
    if out:
        draw(figures, out)
    if write_docs:
        write(figures, draw(figures, _ROOT / "docs" / "images"), _ROOT)
    missed = [
        bound for bound in bounds(figures) if (bound.is_far_off if quick else not bound.is_kept)
    ]
    raise typer.Exit(ExitCode.FAILED if missed else ExitCode.OK)


@app.command(epilog=example("onionskin bench scaling --json > scaling.json"))
def scaling(
    *,
    as_json: AsJson = False,
    write_docs: Annotated[
        bool, typer.Option("--write-docs", help="Write docs/scaling.md and its plot.")
    ] = False,
) -> None:
    """Measure the cost of a user and of a turn, and simulate clusters with these figures."""
    from rich.console import Console

    from onionskin.benchmarks.scaling.docs import write
    from onionskin.benchmarks.scaling.report import show, tables
    from onionskin.benchmarks.scaling.run import measure_all
    from onionskin.service.console import say_json

    console = Console()
    findings = measure_all(Console(stderr=True))
    sections = tables(findings)
    if as_json:
        say_json(json.loads(findings.as_json()))
    else:
        console.print(f"[dim]{findings.hardware}[/]")
        show(sections, console)
    if write_docs:
        write(findings, sections, _ROOT)


@app.command(epilog=example("onionskin bench trace --list"))
def trace(
    *,
    with_calls: Annotated[bool, typer.Option("--list", help="Print each call, in order.")] = False,
    model: Annotated[
        Literal["offline", "openai"],
        typer.Option(help="The offline model, or a local server of the OpenAI protocol."),
    ] = "offline",
    profile: Annotated[
        str, typer.Option(help="Memory profile.", autocompletion=profile_names)
    ] = "layered",
    warm_up: Annotated[int, typer.Option(min=0, help="Turns before the traced one.")] = 9,
    after: Annotated[
        float, typer.Option(min=0, help="Seconds after the answer that are traced too.")
    ] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Count the files, functions and calls of the project that one chat turn runs through."""
    from onionskin.benchmarks.turn_trace import as_data, show, trace_turn
    from onionskin.service.console import say_json

    calls = trace_turn(model=model, profile=profile, warm_up=warm_up, after=after)
    if as_json:
        say_json(as_data(calls, with_calls=with_calls))
    else:
        show(calls, with_calls=with_calls)
