"""`strata`: the command line."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from memory.errors import StrataError

app = typer.Typer(
    help="Strata: layered memory for LangChain chat, as a service.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
_errors = Console(stderr=True)
Url = Annotated[str, typer.Option("--url", envvar="STRATA_URL", help="The running service.")]
_URL = "http://127.0.0.1:8000"
AsJson = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]
Form = Literal["strata", "langchain", "mem0"]
User = Annotated[str, typer.Option("--user", help="Whose memory.")]


@app.command()
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
    fd: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Serve the API; everything else is set by STRATA_* variables."""
    from service.loading import load_settings  # noqa: PLC0415
    from service.serve import run  # noqa: PLC0415 - each command loads what it needs

    given = {"host": host, "port": port, "data_dir": data_dir}
    chosen = {name: value for name, value in given.items() if value is not None}
    run(load_settings(**chosen), insecure=insecure, workers=workers, fd=fd)


@app.command()
def worker(
    data_dir: Annotated[
        Path | None, typer.Option(help="The service's, where its Redis is embedded.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Serve /healthz, /readyz and /metrics here; 0 for any.")
    ] = None,
) -> None:
    """Do jobs (summaries, memories, vectors) for services with STRATA_JOBS=elsewhere.

    Run as many as you like, with the settings of the service:

        STRATA_REDIS_URL=redis://redis:6379 strata worker --port 9100
    """
    from service.loading import load_settings  # noqa: PLC0415
    from service.worker import run  # noqa: PLC0415

    chosen = {} if data_dir is None else {"data_dir": data_dir}
    run(load_settings(**chosen), port=port)


@app.command()
def reindex(
    data_dir: Annotated[
        Path | None, typer.Option(help="The service's, where its Redis is embedded.")
    ] = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Embed whatever has no vector of the embedder in use; stopped, it goes on where it was.

    After a change of embedder, beside the running service:

        STRATA_EMBEDDER=openai strata reindex
    """
    from service.loading import load_settings  # noqa: PLC0415
    from service.reindexing import run_reindex  # noqa: PLC0415

    chosen = {} if data_dir is None else {"data_dir": data_dir}
    run_reindex(load_settings(**chosen), as_json=as_json)


@app.command()
def chat(
    user: User = "me",
    url: Url = _URL,
    profile: Annotated[str | None, typer.Option(help="The memory profile.")] = None,
) -> None:
    """Talk with the running service in the terminal."""
    from service.terminal import converse  # noqa: PLC0415

    converse(url, user, profile=profile)


@app.command("import")
def import_file(
    *,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="JSON lines.")],
    user: User,
    url: Url = _URL,
    import_id: Annotated[
        str | None, typer.Option(help="Names the import; by default drawn from the file.")
    ] = None,
    as_json: AsJson = False,
    form: Annotated[
        Form,
        typer.Option(help="LangChain's messages_to_dict, or mem0's get_all."),
    ] = "strata",
) -> None:
    """Store a conversation; run again after a failure, it goes on where it stopped."""
    if form == "mem0":
        from service.foreign import import_mem0  # noqa: PLC0415

        import_mem0(url, user, file, as_json=as_json)
    elif form == "langchain":
        from service.foreign import upload_langchain  # noqa: PLC0415

        upload_langchain(url, user, file, import_id=import_id, as_json=as_json)
    else:
        from service.terminal import upload  # noqa: PLC0415

        upload(url, user, file, import_id=import_id, as_json=as_json)


@app.command("export")
def export_user(user: User, url: Url = _URL) -> None:
    """Write all that is stored of a user to standard output; `import` restores it."""
    from service.user_terminal import export  # noqa: PLC0415

    export(url, user)


@app.command("erase")
def erase_user(
    user: User,
    url: Url = _URL,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """Erase all that is stored of a user, for good."""
    from service.user_terminal import erase  # noqa: PLC0415

    erase(url, user, ask=not yes)


@app.command()
def mcp(user: User = "me", url: Url = _URL) -> None:
    """Give an assistant on this machine the memory of a user, over MCP on standard input.

    In the configuration of the assistant, with `strata serve` running:

        {"mcpServers": {"strata": {"command": "strata", "args": ["mcp", "--user", "me"]}}}
    """
    from service.mcp.stdio import run_stdio  # noqa: PLC0415
    from service.version import VERSION  # noqa: PLC0415

    run_stdio(url, user, version=VERSION)


@app.command()
def doctor(
    as_json: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--json", help="Print the findings as JSON.")
    ] = False,
    ask_model: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--ask-model/--no-model", help="Whether to ask the model a word.")
    ] = True,
) -> None:
    """Look at all that a service stands on, and say what to do; ends with 1 where it cannot run."""
    from service.doctor import run_doctor  # noqa: PLC0415

    raise typer.Exit(0 if run_doctor(as_json=as_json, ask_model=ask_model) else 1)


@app.command()
def demo(
    as_json: AsJson = False,  # noqa: FBT002 - a flag
    web: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--web", help="In the browser: the page has a button that kills.")
    ] = False,
    port: Annotated[int, typer.Option(help="Of the page; 0 for any.")] = 8000,
) -> None:
    """Show session continuity: tell, kill -9 the server and its Redis, start again, ask.

    With --web you do it yourself on the playground page, on a scratch folder:

        strata demo --web
    """
    from service.demo import run_demo, run_web_demo  # noqa: PLC0415

    if web:
        run_web_demo(port)
        return
    raise typer.Exit(0 if run_demo(as_json=as_json) else 1)


@app.command(
    "bench",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def bench(context: typer.Context) -> None:
    """Measure what a turn costs beside other designs; needs the extra `bench` and wrk."""
    from memory.errors import ConfigurationError  # noqa: PLC0415

    try:
        from benchmarks.cli import app as benchmarks  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            f"Benchmarks need {error.name}: pip install 'strata-memory[bench]'."
        ) from error
    benchmarks(context.args, prog_name="strata bench")


def _add_groups() -> None:
    from experiments.cli import app as experiments  # noqa: PLC0415
    from service.config_cli import app as config  # noqa: PLC0415
    from service.encryption_cli import app as encryption  # noqa: PLC0415
    from service.jobs_cli import app as jobs  # noqa: PLC0415
    from service.keys_cli import app as keys  # noqa: PLC0415

    app.add_typer(config, name="config")
    app.add_typer(keys, name="keys")
    app.add_typer(jobs, name="jobs")
    app.add_typer(encryption, name="encryption")
    app.add_typer(experiments, name="experiment")


_add_groups()


def main() -> None:
    """The console script: errors of ours are told in one line."""
    try:
        app()
    except StrataError as error:
        _errors.print(f"[bold red]strata:[/] {error}", highlight=False)
        raise SystemExit(1) from error
