"""Options that several commands take, and the example at the end of each command's help."""

from pathlib import Path
from typing import Annotated

import typer

URL = "http://127.0.0.1:8000"
"""Where `onionskin serve` listens by default."""


def example(command: str) -> str:
    """The last line of a command's help."""
    return f"Example: {command}"


def profile_names(incomplete: str) -> list[str]:
    """Memory profiles of this machine that begin so; for a list with commas, of its last one."""
    from onionskin.memory.errors import OnionskinError
    from onionskin.memory.profiles import load_profiles
    from onionskin.service.settings import load_settings

    before, comma, begun = incomplete.rpartition(",")
    try:
        names = load_profiles(load_settings().profiles)
    except OnionskinError:
        return []
    return [f"{before}{comma}{name}" for name in names if name.startswith(begun)]


def _named(user: str) -> str:
    if user in {"", ".", ".."} or "/" in user:
        raise typer.BadParameter(f"{user!r} is no name of a user: it is empty, dots or slashes.")
    return user


def _all_named(users: list[str]) -> list[str]:
    for user in users:
        _named(user)
    return users


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="The service's, where its Redis is embedded.")
]
Url = Annotated[str, typer.Option("--url", envvar="ONIONSKIN_URL", help="The running service.")]
User = Annotated[str, typer.Option("--user", callback=_named, help="Whose memory.")]
Users = Annotated[
    list[str], typer.Option("--user", callback=_all_named, help="Whose memory; may be repeated.")
]
