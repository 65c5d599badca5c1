"""Options that several commands share, and the example at the end of each help."""

from pathlib import Path
from typing import Annotated

import typer

URL = "http://127.0.0.1:8000"
"""Default address of `onionskin serve`."""


def example(command: str) -> str:
    """The last line of a command's help."""
    return f"Example: {command}"


def profile_names(incomplete: str) -> list[str]:
    """Memory profiles that start with a text; in a list with commas, its last name is completed."""
    from onionskin.memory.errors import OnionskinError
    from onionskin.memory.profiles import load_profiles
    from onionskin.service.settings import load_settings

    before, comma, start = incomplete.rpartition(",")
    try:
        names = load_profiles(load_settings().profiles)
    except OnionskinError:
        return []
    return [f"{before}{comma}{name}" for name in names if name.startswith(start)]


def _valid_user(user: str) -> str:
    if user in {"", ".", ".."} or "/" in user:
        raise typer.BadParameter(
            f"{user!r} is not a user id: it is empty, only dots, or has slashes."
        )
    return user


def _valid_users(users: list[str]) -> list[str]:
    for user in users:
        _valid_user(user)
    return users


AsJson = Annotated[bool, typer.Option("--json", help="Print only JSON.")]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Data directory of the service, if its Redis is embedded."),
]
Url = Annotated[
    str, typer.Option("--url", envvar="ONIONSKIN_URL", help="URL of the running service.")
]
User = Annotated[str, typer.Option("--user", callback=_valid_user, help="Id of the user.")]
Users = Annotated[
    list[str],
    typer.Option("--user", callback=_valid_users, help="Id of the user; may be repeated."),
]
