"""`onionskin config`: what is set, and where."""

import typer

from onionskin.service.cli.options import AsJson, example

_EXAMPLE = example("onionskin config show")
app = typer.Typer(
    help="Settings: what stands, and where it was set.", no_args_is_help=True, epilog=_EXAMPLE
)


@app.callback()
def config() -> None:
    """Settings: what stands, and where it was set."""


@app.command(epilog=_EXAMPLE)
def show(*, as_json: AsJson = False) -> None:
    """Show every setting, with secrets masked, and where it was set.

    The command line goes before the environment, that before .env, that before onionskin.toml (or
    the file that ONIONSKIN_CONFIG names).
    """
    from onionskin.service.settings_loading import show_settings

    show_settings(as_json=as_json)
