"""`onionskin`: the command line."""

import gc
import os
import sys
from typing import Annotated

import typer

from onionskin.experiments.cli import app as experiments
from onionskin.memory.errors import OnionskinError
from onionskin.service.cli.client_commands import app as talking
from onionskin.service.cli.config import app as config
from onionskin.service.cli.encryption import app as encryption
from onionskin.service.cli.exit_codes import MEANINGS, ExitCode, exit_code_of
from onionskin.service.cli.jobs import app as jobs
from onionskin.service.cli.keys import app as keys
from onionskin.service.cli.maintenance_commands import PANEL
from onionskin.service.cli.maintenance_commands import app as care
from onionskin.service.cli.server_commands import app as running

_NEW_OBJECTS = 20_000
"""How many are made before garbage is looked for, in place of Python's 700: of what imports make,
nearly nothing is garbage."""

app = typer.Typer(
    help="Onionskin: layered memory for LangChain chat, as a service.",
    epilog="Exit codes: "
    + "; ".join(f"{code.value} {meaning}" for code, meaning in MEANINGS.items())
    + ".\n\nExample: onionskin serve --port 8000",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _tell_version(wanted: bool) -> None:  # noqa: FBT001 - Typer's own form
    if wanted:
        from onionskin.service.console import say
        from onionskin.service.version import VERSION

        say(f"onionskin {VERSION}")
        raise typer.Exit


@app.callback()
def onionskin(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Which it is.")
    ] = False,
) -> None:
    """Onionskin: layered memory for LangChain chat, as a service."""
    del version


app.add_typer(running)
app.add_typer(talking)
app.add_typer(care)
for name, group in {
    "keys": keys,
    "jobs": jobs,
    "encryption": encryption,
    "config": config,
    "experiment": experiments,
}.items():
    app.add_typer(group, name=name, rich_help_panel=PANEL)


def main() -> None:
    """The console script: errors of ours and the system's are told in one line."""
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])
    try:
        try:
            app(prog_name="onionskin")
        finally:
            sys.stdout.flush()
    except OnionskinError as error:
        _end(str(error), exit_code_of(error))
    except BrokenPipeError:
        _end_unread()
    except OSError as error:
        named = f"{error.filename!r}: " if error.filename else ""
        _end(f"{named}{error.strerror or error}.", ExitCode.FAILED)
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # Typer and Rich make one of the other
            _end_unread()
        raise


def _end(told: str, code: ExitCode) -> None:
    from onionskin.service.console import complain

    complain(told)
    raise SystemExit(code)


def _end_unread() -> None:
    """End quietly: what is left in the buffer goes nowhere, and Python does not complain of it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    raise SystemExit(ExitCode.UNREAD)
