"""`onionskin keys`: creates, lists and revokes API keys."""

import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from onionskin.memory.errors import OnionskinError
from onionskin.service.cli.options import AsJson, example
from onionskin.service.console import remark, say, say_json, say_table

if TYPE_CHECKING:
    from onionskin.memory.store import ApiKey

_SPAN = re.compile(r"([1-9]\d{0,4})([dhm])")
_UNIT_SECONDS = {"d": 86_400, "h": 3_600, "m": 60}
app = typer.Typer(
    help="API keys: create, list, revoke.",
    no_args_is_help=True,
    epilog=example("onionskin keys create --tenant acme --name web"),
)


def _not_empty(name: str | None) -> str | None:
    if name == "":
        raise typer.BadParameter("The value is empty.")
    return name


def _expiry(text: str | None, now: float) -> float | None:
    """The Unix time of an expiry.

    Raises:
        ValueError: It is neither a span nor a time.
    """
    if text is None:
        return None
    if span := _SPAN.fullmatch(text):
        return now + int(span[1]) * _UNIT_SECONDS[span[2]]
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _check_expiry(text: str | None) -> str | None:
    try:
        expires = _expiry(text, now := time.time())
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"{text!r} is no time: write 30d, 12h, 45m, or 2027-01-31."
        ) from error
    if expires is not None and expires <= now:
        raise typer.BadParameter(f"{text!r} is in the past.")
    return text


@app.command(epilog=example("onionskin keys create --tenant acme --name web"))
def create(
    *,
    tenant: Annotated[
        str, typer.Option(callback=_not_empty, help="Tenant whose users the key may access.")
    ] = "default",
    user: Annotated[
        str | None,
        typer.Option(callback=_not_empty, help="The only user the key may access; default: all."),
    ] = None,
    name: Annotated[str, typer.Option(help="A label for your own use.")] = "",
    expires: Annotated[
        str | None,
        typer.Option(
            callback=_check_expiry,
            help="When the key expires: in `30d`, `12h` or `45m`, or at an ISO 8601 time.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create an API key. It is shown only once and stored as a hash."""
    from onionskin.memory.store import ApiKeyRegistry
    from onionskin.service.factories import with_redis

    api_key, secret = with_redis(
        lambda connection: ApiKeyRegistry(connection).create(
            tenant=tenant,
            user_id=user,
            name=name,
            now=time.time(),
            expires=_expiry(expires, time.time()),
        )
    )
    if as_json:
        say_json({**_fields(api_key), "key": secret})
        return
    reach = "every user" if user is None else f"user {user!r}"
    until = f", until {_moment(api_key.expires)}" if api_key.expires else ""
    say(f"Key {api_key.id} reaches {reach} of tenant {tenant!r}{until}.")
    say(secret, style="bold")
    remark("Save it now: it cannot be shown again.", style="dim")


@app.command("list", epilog=example("onionskin keys list --json"))
def list_all(*, as_json: AsJson = False) -> None:
    """List the keys, without their secrets."""
    from onionskin.memory.store import ApiKeyRegistry
    from onionskin.service.factories import with_redis

    api_keys = with_redis(lambda connection: ApiKeyRegistry(connection).list())
    if as_json:
        say_json([_fields(key) for key in api_keys])
        return
    say_table(("id", "tenant", "scope", "user", "name", "created", "expires"), map(_row, api_keys))


@app.command(epilog=example("onionskin keys revoke 3f9c21d07a5e"))
def revoke(
    key_id: Annotated[str, typer.Argument(help="Id from `onionskin keys list`.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Revoke a key; running services reject it within five seconds."""
    from onionskin.memory.store import ApiKeyRegistry
    from onionskin.service.factories import with_redis

    if not with_redis(lambda connection: ApiKeyRegistry(connection).revoke(key_id)):
        raise OnionskinError(f"There is no key {key_id!r}; see `onionskin keys list`.")
    if as_json:
        say_json({"revoked": key_id})
    else:
        say(f"Key {key_id} is revoked.")


def _row(key: "ApiKey") -> tuple[tuple[str, ...], str]:
    expires = "" if key.expires is None else _moment(key.expires)
    if key.expires is not None and key.expires <= time.time():
        expires = f"{expires} (expired)"
    fields = (key.id, key.tenant, key.scope, key.user_id or "", key.name)
    return (*fields, _moment(key.created), expires), ""


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")


def _fields(key: "ApiKey") -> dict[str, object]:
    return {
        "id": key.id,
        "tenant": key.tenant,
        "scope": key.scope,
        "user": key.user_id,
        "name": key.name,
        "created": datetime.fromtimestamp(key.created, UTC).isoformat(),
        "expires": key.expires and datetime.fromtimestamp(key.expires, UTC).isoformat(),
    }
