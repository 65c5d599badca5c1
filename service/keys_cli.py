"""`strata keys`: API keys, made, listed, revoked."""

import json
import time
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from memory.errors import StrataError
from memory.store.api_keys import ApiKey, create_key, list_keys, revoke_key
from service.joining import with_redis

app = typer.Typer(help="API keys: make, list, revoke.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def create(
    tenant: Annotated[str, typer.Option(help="Whose users it reaches.")] = "default",
    user: Annotated[
        str | None, typer.Option(help="The one user that it reaches; left out, all of them.")
    ] = None,
    name: Annotated[str, typer.Option(help="For your own notes.")] = "",
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Make an API key. It is shown this once and stored hashed."""
    made, shown = with_redis(
        lambda connection: create_key(
            connection, tenant=tenant, user_id=user, name=name, now=time.time()
        )
    )
    if as_json:
        print(json.dumps({**_described(made), "key": shown}))  # noqa: T201
        return
    console = Console()
    reach = "every user" if user is None else f"user {user!r}"
    console.print(f"Key {made.id} reaches {reach} of tenant {tenant!r}.", highlight=False)
    console.print(shown, style="bold", highlight=False, soft_wrap=True)
    console.print("Keep it: it cannot be shown again.", style="dim")


@app.command("list")
def list_all(as_json: AsJson = False) -> None:  # noqa: FBT002 - a flag
    """List the keys; never their secrets."""
    found = with_redis(list_keys)
    if as_json:
        print(json.dumps([_described(key) for key in found]))  # noqa: T201
        return
    table = Table("id", "tenant", "scope", "user", "name", "created")
    for key in found:
        made = datetime.fromtimestamp(key.created, UTC).strftime("%Y-%m-%d %H:%M")
        table.add_row(key.id, key.tenant, key.scope, key.user_id or "", key.name, made)
    Console().print(table)


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="As `list` shows it.")]) -> None:
    """Revoke a key; running services refuse it after five seconds at the latest."""
    if not with_redis(lambda connection: revoke_key(connection, key_id)):
        raise StrataError(f"There is no key {key_id!r}; see `strata keys list`.")
    Console().print(f"Key {key_id} is revoked.", highlight=False)


def _described(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "tenant": key.tenant,
        "scope": key.scope,
        "user": key.user_id,
        "name": key.name,
        "created": datetime.fromtimestamp(key.created, UTC).isoformat(),
    }
