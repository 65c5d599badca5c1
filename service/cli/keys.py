"""`onionskin keys`: API keys, made, listed, revoked."""

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from onionskin.memory.errors import OnionskinError
from onionskin.service.cli.options import AsJson, example
from onionskin.service.console import remark, say, say_json, say_table

if TYPE_CHECKING:
    from onionskin.memory.store.api_keys import ApiKey

app = typer.Typer(
    help="API keys: make, list, revoke.",
    no_args_is_help=True,
    epilog=example("onionskin keys create --tenant acme --name web"),
)


def _filled(name: str | None) -> str | None:
    if name == "":
        raise typer.BadParameter("It is empty.")
    return name


@app.command(epilog=example("onionskin keys create --tenant acme --name web"))
def create(
    *,
    tenant: Annotated[
        str, typer.Option(callback=_filled, help="Whose users it reaches.")
    ] = "default",
    user: Annotated[
        str | None,
        typer.Option(callback=_filled, help="The one user that it reaches; left out, all of them."),
    ] = None,
    name: Annotated[str, typer.Option(help="For your own notes.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make an API key. It is shown this once and stored hashed."""
    from onionskin.memory.store.api_keys import create_key
    from onionskin.service.factories import with_redis

    made, shown = with_redis(
        lambda connection: create_key(
            connection, tenant=tenant, user_id=user, name=name, now=time.time()
        )
    )
    if as_json:
        say_json({**_described(made), "key": shown})
        return
    reach = "every user" if user is None else f"user {user!r}"
    say(f"Key {made.id} reaches {reach} of tenant {tenant!r}.")
    say(shown, style="bold")
    remark("Keep it: it cannot be shown again.", style="dim")


@app.command("list", epilog=example("onionskin keys list --json"))
def list_all(*, as_json: AsJson = False) -> None:
    """List the keys; never their secrets."""
    from onionskin.memory.store.api_keys import list_keys
    from onionskin.service.factories import with_redis

    found = with_redis(list_keys)
    if as_json:
        say_json([_described(key) for key in found])
        return
    say_table(("id", "tenant", "scope", "user", "name", "created"), map(_row, found))


@app.command(epilog=example("onionskin keys revoke 3f9c21d07a5e"))
def revoke(
    key_id: Annotated[str, typer.Argument(help="As `list` shows it.")], *, as_json: AsJson = False
) -> None:
    """Revoke a key; running services refuse it after five seconds at the latest."""
    from onionskin.memory.store.api_keys import revoke_key
    from onionskin.service.factories import with_redis

    if not with_redis(lambda connection: revoke_key(connection, key_id)):
        raise OnionskinError(f"There is no key {key_id!r}; see `onionskin keys list`.")
    if as_json:
        say_json({"revoked": key_id})
    else:
        say(f"Key {key_id} is revoked.")


def _row(key: "ApiKey") -> tuple[tuple[str, ...], str]:
    made = datetime.fromtimestamp(key.created, UTC).strftime("%Y-%m-%d %H:%M")
    return (key.id, key.tenant, key.scope, key.user_id or "", key.name, made), ""


def _described(key: "ApiKey") -> dict[str, object]:
    return {
        "id": key.id,
        "tenant": key.tenant,
        "scope": key.scope,
        "user": key.user_id,
        "name": key.name,
        "created": datetime.fromtimestamp(key.created, UTC).isoformat(),
    }
