"""`onionskin doctor`, `reindex`, `bench`: commands that maintain a service."""

from typing import Annotated

import typer

from onionskin.service.cli.exit_codes import ExitCode
from onionskin.service.cli.options import AsJson, DataDir, example

app = typer.Typer()
PANEL = "Maintain it"
"""Section of the help with these commands and the command groups."""


@app.command(rich_help_panel=PANEL, epilog=example("onionskin doctor --no-model"))
def doctor(
    *,
    as_json: AsJson = False,
    ask_model: Annotated[
        bool, typer.Option("--ask-model/--no-model", help="Whether to call the model.")
    ] = True,
) -> None:
    """Check everything a service needs, and say what to do; exits with 1 if it cannot run."""
    from onionskin.service.cli.doctor import run_doctor

    can_run = run_doctor(as_json=as_json, ask_model=ask_model)
    raise typer.Exit(ExitCode.OK if can_run else ExitCode.FAILED)


@app.command(rich_help_panel=PANEL, epilog=example("ONIONSKIN_EMBEDDER=openai onionskin reindex"))
def reindex(*, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Embed all messages and memories that have no vector of the current embedder.

    Run it after a change of the embedder, while the service runs. If interrupted, it resumes.
    """
    from onionskin.service.cli.reindex import run_reindex
    from onionskin.service.settings import load_settings

    overrides = {} if data_dir is None else {"data_dir": data_dir}
    run_reindex(load_settings(**overrides), as_json=as_json)


@app.command(
    "bench",
    add_help_option=False,
    rich_help_panel=PANEL,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog=example("onionskin bench turn --quick"),
)
def bench(context: typer.Context) -> None:
    """Compare the cost of a turn with other designs; needs the extra `bench` and wrk."""
    from onionskin.memory.errors import ConfigurationError

    try:
        from onionskin.benchmarks.cli import app as benchmarks
    except ImportError as error:
        raise ConfigurationError(
            f"Benchmarks need {error.name}: pip install 'onionskin[bench]'."
        ) from error
    benchmarks(context.args, prog_name="onionskin bench")
