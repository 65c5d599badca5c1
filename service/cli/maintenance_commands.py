"""`onionskin doctor`, `reindex`, `bench`: what looks after a service."""

from typing import Annotated

import typer

from onionskin.service.cli.exit_codes import ExitCode
from onionskin.service.cli.options import AsJson, DataDir, example

app = typer.Typer()
PANEL = "Look after it"
"""Where help lists them, and the groups beside them."""


@app.command(rich_help_panel=PANEL, epilog=example("onionskin doctor --no-model"))
def doctor(
    *,
    as_json: AsJson = False,
    ask_model: Annotated[
        bool, typer.Option("--ask-model/--no-model", help="Whether to ask the model a word.")
    ] = True,
) -> None:
    """Look at all that a service stands on, and say what to do; ends with 1 where it cannot run."""
    from onionskin.service.cli.doctor import run_doctor

    fine = run_doctor(as_json=as_json, ask_model=ask_model)
    raise typer.Exit(ExitCode.OK if fine else ExitCode.FAILED)


@app.command(rich_help_panel=PANEL, epilog=example("ONIONSKIN_EMBEDDER=openai onionskin reindex"))
def reindex(*, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Embed whatever has no vector of the embedder in use; stopped, it goes on where it was.

    After a change of embedder, beside the running service.
    """
    from onionskin.service.cli.reindex import run_reindex
    from onionskin.service.settings import load_settings

    chosen = {} if data_dir is None else {"data_dir": data_dir}
    run_reindex(load_settings(**chosen), as_json=as_json)


@app.command(
    "bench",
    add_help_option=False,
    rich_help_panel=PANEL,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog=example("onionskin bench turn --quick"),
)
def bench(context: typer.Context) -> None:
    """Measure what a turn costs beside other designs; needs the extra `bench` and wrk."""
    from onionskin.memory.errors import ConfigurationError

    try:
        from onionskin.benchmarks.cli import app as benchmarks
    except ImportError as error:
        raise ConfigurationError(
            f"Benchmarks need {error.name}: pip install 'onionskin[bench]'."
        ) from error
    benchmarks(context.args, prog_name="onionskin bench")
