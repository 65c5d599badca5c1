"""`onionskin chat`, `import`, `export`, `erase`, `mcp`: what is asked of a running service."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from onionskin.service.cli.options import URL, AsJson, Url, User, Users, example, profile_names

app = typer.Typer()
_PANEL = "Talk with it"


def _readable(file: Path) -> Path:
    if str(file) != "-":
        if not file.exists():
            raise typer.BadParameter(f"there is no file {str(file)!r}.")
        if file.is_dir() or not os.access(file, os.R_OK):
            raise typer.BadParameter(f"{str(file)!r} cannot be read.")
    return file


Form = Literal["onionskin", "langchain", "mem0"]


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
    """Talk with the running service in the terminal, or pipe messages into it, one a line.

    Ctrl-D ends it. Ctrl-C breaks off an answer, and ends it where nothing is being answered.
    """
    from onionskin.service.cli.chat import converse

    converse(url, user, profile=profile, as_json=as_json)


@app.command(
    "import", rich_help_panel=_PANEL, epilog=example("onionskin import chat.jsonl --user bo")
)
def import_file(
    *,
    file: Annotated[
        Path,
        typer.Argument(callback=_readable, help="JSON lines; - reads them from a pipe."),
    ],
    user: User,
    url: Url = URL,
    import_id: Annotated[
        str | None, typer.Option(help="Names the import; by default drawn from the file.")
    ] = None,
    as_json: AsJson = False,
    form: Annotated[
        Form,
        typer.Option(help="LangChain's messages_to_dict, or mem0's get_all."),
    ] = "onionskin",
) -> None:
    """Store a conversation; run again after a failure, it goes on where it stopped."""
    from onionskin.service.cli.import_file import at_rest, import_mem0, upload, upload_langchain

    with at_rest(file) as found:
        if form == "mem0":
            import_mem0(url, user, found, as_json=as_json)
        elif form == "langchain":
            upload_langchain(url, user, found, import_id=import_id, as_json=as_json)
        else:
            upload(url, user, found, import_id=import_id, as_json=as_json)


@app.command(
    "export", rich_help_panel=_PANEL, epilog=example("onionskin export --user bo > bo.jsonl")
)
def export_user(user: User, url: Url = URL) -> None:
    """Write all that is stored of a user as JSON lines to standard output; `import` restores."""
    from onionskin.service.cli.user_data import export

    export(url, user)


@app.command("erase", rich_help_panel=_PANEL, epilog=example("onionskin erase --user bo --yes"))
def erase_users(
    *,
    user: Users,
    url: Url = URL,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the receipts as JSON.")] = False,
) -> None:
    """Erase all that is stored of a user, for good; of several, one after the other."""
    from onionskin.service.cli.user_data import erase

    erase(url, user, ask=not yes, as_json=as_json)


@app.command(rich_help_panel=_PANEL, epilog=example("onionskin mcp --user me"))
def mcp(user: User = "me", url: Url = URL) -> None:
    """Give an assistant on this machine the memory of a user, over MCP on standard input.

    In the configuration of the assistant, with `onionskin serve` running:

        {"mcpServers": {"onionskin": {"command": "onionskin", "args": ["mcp", "--user", "me"]}}}
    """
    from onionskin.service.mcp.stdio import run_stdio
    from onionskin.service.version import VERSION

    run_stdio(url, user, version=VERSION)
