"""`onionskin serve`, `worker`, `demo`: what runs on this machine."""

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
    data_dir: Annotated[Path | None, typer.Option(help="Where the embedded Redis lives.")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen beyond this machine without authentication.")
    ] = False,
    workers: Annotated[
        int, typer.Option(min=1, max=256, help="Processes, such as one for each core.")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Tell the address as JSON.")] = False,
    fd: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Serve the API; everything else is set by ONIONSKIN_* variables, .env and onionskin.toml.

    Ctrl-C and SIGTERM let what is under way finish; it then ends with 0.
    """
    from onionskin.service.server.run import run
    from onionskin.service.settings import load_settings

    given = {"host": host, "port": port, "data_dir": data_dir}
    chosen = {name: value for name, value in given.items() if value is not None}
    run(load_settings(**chosen), insecure=insecure, workers=workers, fd=fd, as_json=as_json)


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
    as_json: Annotated[bool, typer.Option("--json", help="Tell the address as JSON.")] = False,
) -> None:
    """Do jobs (summaries, memories, vectors) for services with ONIONSKIN_JOBS=elsewhere.

    Run as many as you like, with the settings of the service. Ctrl-C and SIGTERM let what is
    under way finish; it then ends with 0.
    """
    from onionskin.service.server.worker import run
    from onionskin.service.settings import load_settings

    chosen = {} if data_dir is None else {"data_dir": data_dir}
    run(load_settings(**chosen), port=port, as_json=as_json)


@app.command(rich_help_panel=_PANEL, epilog=example("onionskin demo --web"))
def demo(
    *,
    as_json: AsJson = False,
    web: Annotated[
        bool, typer.Option("--web", help="In the browser: the page has a button that kills.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the page; 0 for any.")] = 8000,
) -> None:
    """Show session continuity: tell, kill -9 the server and its Redis, start again, ask.

    With --web you do it yourself on the playground page, on a scratch folder.
    """
    from onionskin.service.cli.demo import run_demo, run_web_demo

    if not web:
        raise typer.Exit(ExitCode.OK if run_demo(as_json=as_json) else ExitCode.FAILED)
    if as_json:
        raise typer.BadParameter("--json has nothing to print with --web.")
    run_web_demo(port)
