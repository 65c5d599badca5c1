"""`onionskin`: the command line, with all commands and groups."""

import gc
import os
import sys
from typing import Annotated

import typer

from onionskin.experiments.cli import app as experiments
from onionskin.memory.errors import OnionskinError
from onionskin.service.cli.client_commands import app as client_commands
from onionskin.service.cli.config import app as config
from onionskin.service.cli.encryption import app as encryption
from onionskin.service.cli.exit_codes import MEANINGS, ExitCode, exit_code_of
from onionskin.service.cli.jobs import app as jobs
from onionskin.service.cli.keys import app as keys
from onionskin.service.cli.maintenance_commands import PANEL
from onionskin.service.cli.maintenance_commands import app as maintenance_commands
from onionskin.service.cli.server_commands import app as server_commands

_GC_THRESHOLD = 20_000
"""New objects before a garbage collection, instead of Python's 700: imports make hardly any
garbage."""

app = typer.Typer(
    help="Onionskin: layered memory for LangChain chat, as a service.",
    epilog="Exit codes: "
    + "; ".join(f"{code.value} {meaning}" for code, meaning in MEANINGS.items())
    + ".\n\nExample: onionskin serve --port 8000",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(is_requested: bool) -> None:  # noqa: FBT001 - Typer calls it so
    if is_requested:
        from onionskin.service.console import say
        from onionskin.service.version import VERSION

        say(f"onionskin {VERSION}")
        raise typer.Exit


@app.callback()
def onionskin(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Onionskin: layered memory for LangChain chat, as a service."""
    del version


app.add_typer(server_commands)
app.add_typer(client_commands)
app.add_typer(maintenance_commands)
for name, group in {
    "keys": keys,
    "jobs": jobs,
    "encryption": encryption,
    "config": config,
    "experiment": experiments,
}.items():
    app.add_typer(group, name=name, rich_help_panel=PANEL)


def main() -> None:
    """Run the console script; an expected error ends it with one line on standard error."""
    gc.set_threshold(_GC_THRESHOLD, *gc.get_threshold()[1:])
    try:
        try:
            app(prog_name="onionskin")
        finally:
            sys.stdout.flush()
    except OnionskinError as error:
        _fail(str(error), exit_code_of(error))
    except BrokenPipeError:
        _end_unread()
    except OSError as error:
        file = f"{error.filename!r}: " if error.filename else ""
        _fail(f"{file}{error.strerror or error}.", ExitCode.FAILED)
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # Typer and Rich convert it
            _end_unread()
        raise


def _fail(message: str, code: ExitCode) -> None:
    from onionskin.service.console import complain

    complain(message)
    raise SystemExit(code)


def _end_unread() -> None:
    """Exit silently: buffered output goes to the null device, so that Python can flush it."""
    null_device = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null_device, sys.stdout.fileno())
    raise SystemExit(ExitCode.UNREAD)
