"""`onionskin jobs`: what was given up, listed, tried again, let go."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from onionskin.memory.errors import OnionskinError
from onionskin.service.cli.options import AsJson, example
from onionskin.service.console import say, say_json, say_table

if TYPE_CHECKING:
    from onionskin.memory.store import Connection
    from onionskin.memory.store.task_queue import DeadTask

app = typer.Typer(
    help="Jobs that failed too often: list them, try them again, let them go.",
    no_args_is_help=True,
    epilog=example("onionskin jobs retry --all"),
)
Which = Annotated[list[str] | None, typer.Argument(help="Ids as `list` shows them.")]
All = Annotated[bool, typer.Option("--all", help="All of them.")]


@app.command("list", epilog=example("onionskin jobs list --json"))
def list_all(*, as_json: AsJson = False) -> None:
    """List what was given up: whose and which session, how it failed; nothing that was said."""
    from onionskin.memory.store.task_queue import list_dead_tasks
    from onionskin.service.factories import with_redis

    found = [_described(one) for one in with_redis(list_dead_tasks)]
    if as_json:
        say_json(found)
        return
    headings = ("id", "job", "tenant", "user", "session", "failures", "error", "given up")
    say_table(headings, (([str(value) for value in one.values()], "") for one in found))


@app.command(epilog=example("onionskin jobs retry --all"))
def retry(ids: Which = None, *, every: All = False, as_json: AsJson = False) -> None:
    """Do jobs again; whichever worker comes first takes them."""
    count = _settle(ids or [], every=every, again=True)
    if as_json:
        say_json({"due": count})
    else:
        say(f"{_counted(count)} due again.")


@app.command(epilog=example("onionskin jobs drop 3f9c21d07a5e"))
def drop(ids: Which = None, *, every: All = False, as_json: AsJson = False) -> None:
    """Let jobs go; what is due again later is tried again later."""
    count = _settle(ids or [], every=every, again=False)
    if as_json:
        say_json({"dropped": count})
    else:
        say(f"{_counted(count)} dropped.")


def _settle(ids: list[str], *, every: bool, again: bool) -> int:
    from onionskin.memory.store.task_queue import list_dead_tasks, retry_tasks, task_digest
    from onionskin.service.factories import with_redis

    if bool(ids) == every:
        raise typer.BadParameter("Name ids of `onionskin jobs list`, or say --all.")

    async def settle(connection: "Connection") -> int:
        found = {task_digest(one.task): one.task for one in await list_dead_tasks(connection)}
        if unknown := set(ids) - found.keys():
            raise OnionskinError(f"There is no job {min(unknown)!r}; see `onionskin jobs list`.")
        chosen = [found[one] for one in ids] if ids else list(found.values())
        return await retry_tasks(connection, chosen, again=again)

    return with_redis(settle)


def _counted(count: int) -> str:
    return f"{count} {'job is' if count == 1 else 'jobs are'}"


def _described(one: "DeadTask") -> dict[str, object]:
    from onionskin.memory.store.task_queue import kind_of, task_digest

    return {
        "id": task_digest(one.task),
        "job": kind_of(one.task),
        "tenant": one.task.user.tenant,
        "user": one.task.user.id,
        "session": asdict(one.task).get("session_id", ""),
        "failures": one.failures,
        "error": one.error,
        "given_up": datetime.fromtimestamp(one.at, UTC).isoformat(timespec="seconds"),
    }
