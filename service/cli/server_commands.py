"""`onionskin serve`, `worker`, `demo`: commands that run a server on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from onionskin.service.cli.exit_codes import ExitCode
from onionskin.service.cli.options import AsJson, DataDir, example

app = typer.Typer()
_PANEL = "Run it"


@app.command(rich_help_panel=_PANEL, epilog=example("onionskin serve --port 8000 --workers 2"))
def serve(
    *,
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen on; 0 for any.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Directory of the embedded Redis.")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen beyond this machine without authentication.")
    ] = False,
    workers: Annotated[
        int, typer.Option(min=1, max=256, help="Number of processes, such as one per core.")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the address as JSON.")] = False,
    fd: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Serve the API; set everything else with ONIONSKIN_* variables, .env or onionskin.toml.

    On Ctrl-C and SIGTERM it finishes running requests, then exits with 0.
    """
    from onionskin.service.server.run import run
    from onionskin.service.settings import load_settings

    options = {"host": host, "port": port, "data_dir": data_dir}
    overrides = {name: value for name, value in options.items() if value is not None}
    run(load_settings(**overrides), insecure=insecure, workers=workers, fd=fd, as_json=as_json)


@app.command(
    rich_help_panel=_PANEL,
    epilog=example("ONIONSKIN_REDIS_URL=redis://redis:6379 onionskin worker --port 9100"),
)
def worker(
    *,
    data_dir: DataDir = None,
    port: Annotated[
        int | None, typer.Option(help="Serve /healthz, /readyz and /metrics here; 0 for any.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the address as JSON.")] = False,
) -> None:
    """Run jobs (summaries, memories, vectors) for services with ONIONSKIN_JOBS=elsewhere.

    Run any number of workers, with the settings of the service. On Ctrl-C and SIGTERM a worker
    finishes running jobs, then exits with 0.
    """
    from onionskin.service.server.worker import run
    from onionskin.service.settings import load_settings

    overrides = {} if data_dir is None else {"data_dir": data_dir}
    run(load_settings(**overrides), port=port, as_json=as_json)


@app.command(rich_help_panel=_PANEL, epilog=example("onionskin demo --web"))
def demo(
    *,
    as_json: AsJson = False,
    web: Annotated[
        bool, typer.Option("--web", help="In the browser, with a button that kills the server.")
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the page; 0 for any.")
    ] = 8000,
) -> None:
    """Show session continuity: chat, kill -9 the server and its Redis, restart, ask.

    With --web you do this yourself on the playground page, in a temporary folder.
    """
    from onionskin.service.cli.demo import run_demo, run_web_demo

    if not web:
        raise typer.Exit(ExitCode.OK if run_demo(as_json=as_json) else ExitCode.FAILED)
    if as_json:
        raise typer.BadParameter("--json cannot be combined with --web.")
    run_web_demo(port)
