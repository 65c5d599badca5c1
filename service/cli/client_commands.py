"""`onionskin chat`, `import`, `export`, `erase`, `mcp`: commands that call a running service."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from onionskin.service.cli.options import URL, AsJson, Url, User, Users, example, profile_names

app = typer.Typer()
_PANEL = "Talk with it"
Form = Literal["onionskin", "langchain", "mem0"]


def _readable(file: Path) -> Path:
    if str(file) != "-":
        if not file.exists():
            raise typer.BadParameter(f"there is no file {str(file)!r}.")
        if file.is_dir() or not os.access(file, os.R_OK):
            raise typer.BadParameter(f"{str(file)!r} is not readable.")
    return file


@app.command(rich_help_panel=_PANEL, epilog=example("onionskin chat --user alice"))
def chat(
    *,
    user: User = "me",
    url: Url = URL,
    profile: Annotated[
        str | None, typer.Option(help="The memory profile.", autocompletion=profile_names)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each answer as JSON.")] = False,
) -> None:
    """Chat with the running service in the terminal, or pipe messages into it, one per line.

    Ctrl-D exits. Ctrl-C stops the current answer, or exits if there is none.
    """
    from onionskin.service.cli.chat import run_chat

    run_chat(url, user, profile=profile, as_json=as_json)


@app.command(
    "import", rich_help_panel=_PANEL, epilog=example("onionskin import chat.jsonl --user bo")
)
def import_file(
    *,
    file: Annotated[
        Path,
        typer.Argument(callback=_readable, help="JSON lines; - reads standard input."),
    ],
    user: User,
    url: Url = URL,
    import_id: Annotated[
        str | None, typer.Option(help="Id of the import; default: a digest of the file.")
    ] = None,
    as_json: AsJson = False,
    form: Annotated[
        Form,
        typer.Option(help="File format: LangChain's messages_to_dict, mem0's get_all."),
    ] = "onionskin",
) -> None:
    """Import a conversation or an export. After a failure, run it again to resume."""
    from onionskin.service.cli.import_file import (
        import_langchain,
        import_lines,
        import_mem0,
        rereadable,
    )

    with rereadable(file) as source:
        if form == "mem0":
            import_mem0(url, user, source, as_json=as_json)
        elif form == "langchain":
            import_langchain(url, user, source, import_id=import_id, as_json=as_json)
        else:
            import_lines(url, user, source, import_id=import_id, as_json=as_json)


@app.command(
    "export", rich_help_panel=_PANEL, epilog=example("onionskin export --user bo > bo.jsonl")
)
def export_user(user: User, url: Url = URL) -> None:
    """Write all data of a user as JSON lines to standard output; `import` restores them."""
    from onionskin.service.cli.user_data import export

    export(url, user)


@app.command("erase", rich_help_panel=_PANEL, epilog=example("onionskin erase --user bo --yes"))
def erase_users(
    *,
    user: Users,
    url: Url = URL,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the receipts as JSON.")] = False,
) -> None:
    """Erase all data of one or more users permanently."""
    from onionskin.service.cli.user_data import erase

    erase(url, user, ask=not yes, as_json=as_json)


@app.command(rich_help_panel=_PANEL, epilog=example("onionskin mcp --user me"))
def mcp(user: User = "me", url: Url = URL) -> None:
    """Offer the memory of a user to an assistant on this machine, over MCP on standard input.

    Start `onionskin serve`, then add this to the configuration of the assistant:

        {"mcpServers": {"onionskin": {"command": "onionskin", "args": ["mcp", "--user", "me"]}}}
    """
    from onionskin.service.mcp.stdio import run_stdio
    from onionskin.service.version import VERSION

    run_stdio(url, user, version=VERSION)
