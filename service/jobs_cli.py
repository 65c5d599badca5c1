"""`strata jobs`: what was given up, listed, tried again, let go."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from memory.errors import StrataError
from memory.store import Connection
from memory.store.agenda import GivenUp, list_given_up, revive
from memory.store.due_codec import digest_of, kind_of
from service.joining import with_redis

app = typer.Typer(
    help="Jobs that failed too often: list them, try them again, let them go.",
    no_args_is_help=True,
)
Which = Annotated[list[str] | None, typer.Argument(help="Ids as `list` shows them.")]
All = Annotated[bool, typer.Option("--all", help="All of them.")]


@app.command("list")
def list_all(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """List what was given up: whose and which session, how it failed; nothing that was said.

    strata jobs list --json
    """
    found = with_redis(list_given_up)
    if as_json:
        print(json.dumps([_described(one) for one in found]))  # noqa: T201
        return
    table = Table("id", "job", "tenant", "user", "session", "failures", "error", "given up")
    for one in found:
        told = _described(one)
        table.add_row(*(str(told[name]) for name in told))
    Console().print(table)


@app.command()
def retry(ids: Which = None, every: All = False) -> None:  # noqa: FBT002 - a flag
    """Do jobs again; whichever worker comes first takes them.

    strata jobs retry --all
    """
    _tell(_settle(ids or [], every=every, again=True), "due again")


@app.command()
def drop(ids: Which = None, every: All = False) -> None:  # noqa: FBT002 - a flag
    """Let jobs go; what is due again later is tried again later.

    strata jobs drop 3f9c21d07a5e
    """
    _tell(_settle(ids or [], every=every, again=False), "dropped")


def _settle(ids: list[str], *, every: bool, again: bool) -> int:
    if bool(ids) == every:
        raise StrataError("Name ids of `strata jobs list`, or say --all.")

    async def settle(connection: Connection) -> int:
        found = {digest_of(one.due): one.due for one in await list_given_up(connection)}
        if unknown := set(ids) - found.keys():
            raise StrataError(f"There is no job {min(unknown)!r}; see `strata jobs list`.")
        chosen = [found[one] for one in ids] if ids else list(found.values())
        return await revive(connection, chosen, again=again)

    return with_redis(settle)


def _tell(count: int, what: str) -> None:
    Console().print(f"{count} {'job is' if count == 1 else 'jobs are'} {what}.", highlight=False)


def _described(one: GivenUp) -> dict[str, object]:
    return {
        "id": digest_of(one.due),
        "job": kind_of(one.due),
        "tenant": one.due.user.tenant,
        "user": one.due.user.id,
        "session": asdict(one.due).get("session_id", ""),
        "failures": one.failures,
        "error": one.error,
        "given_up": datetime.fromtimestamp(one.at, UTC).isoformat(timespec="seconds"),
    }
