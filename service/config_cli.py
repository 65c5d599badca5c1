"""`strata config`: what is set, and where."""

from typing import Annotated

import typer

from service.loading import show_settings

app = typer.Typer(help="Settings: what stands, and where it was set.", no_args_is_help=True)


@app.callback()
def config() -> None:
    """Settings: what stands, and where it was set."""


@app.command()
def show(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """Show every setting, with secrets masked, and where it was set.

    The command line goes before the environment, that before .env, that before strata.toml (or
    the file that STRATA_CONFIG names).
    """
    show_settings(as_json=as_json)
