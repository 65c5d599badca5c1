"""`onionskin jobs`: lists failed jobs, retries or drops them."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from onionskin.memory.errors import OnionskinError
from onionskin.service.cli.options import AsJson, example
from onionskin.service.console import say, say_json, say_table

if TYPE_CHECKING:
    from onionskin.memory.store import Connection, DeadTask

app = typer.Typer(
    help="Jobs that failed too often: list, retry or drop them.",
    no_args_is_help=True,
    epilog=example("onionskin jobs retry --all"),
)
JobIds = Annotated[list[str] | None, typer.Argument(help="Ids from `onionskin jobs list`.")]
All = Annotated[bool, typer.Option("--all", help="All failed jobs.")]


@app.command("list", epilog=example("onionskin jobs list --json"))
def list_all(*, as_json: AsJson = False) -> None:
    """List failed jobs with their user, session and error, but without message texts."""
    from onionskin.memory.store import TaskQueue
    from onionskin.service.factories import with_redis

    rows = [_fields(dead) for dead in with_redis(lambda connection: TaskQueue(connection).dead())]
    if as_json:
        say_json(rows)
        return
    headings = ("id", "job", "tenant", "user", "session", "failures", "error", "given up")
    say_table(headings, (([str(value) for value in row.values()], "") for row in rows))


@app.command(epilog=example("onionskin jobs retry --all"))
def retry(ids: JobIds = None, *, every: All = False, as_json: AsJson = False) -> None:
    """Retry failed jobs; the next free worker takes them."""
    count = _finish(ids or [], every=every, again=True)
    if as_json:
        say_json({"due": count})
    else:
        say(f"{_counted(count)} due again.")


@app.command(epilog=example("onionskin jobs drop 3f9c21d07a5e"))
def drop(ids: JobIds = None, *, every: All = False, as_json: AsJson = False) -> None:
    """Drop failed jobs; the same job may be queued again later."""
    count = _finish(ids or [], every=every, again=False)
    if as_json:
        say_json({"dropped": count})
    else:
        say(f"{_counted(count)} dropped.")


def _finish(ids: list[str], *, every: bool, again: bool) -> int:
    from onionskin.memory.store import TaskQueue, task_digest
    from onionskin.service.factories import with_redis

    if bool(ids) == every:
        raise typer.BadParameter("Give ids from `onionskin jobs list`, or --all.")

    async def finish(connection: "Connection") -> int:
        tasks = {task_digest(dead.task): dead.task for dead in await TaskQueue(connection).dead()}
        if unknown := set(ids) - tasks.keys():
            raise OnionskinError(f"There is no job {min(unknown)!r}; see `onionskin jobs list`.")
        chosen = [tasks[job_id] for job_id in ids] if ids else list(tasks.values())
        queue = TaskQueue(connection)
        return await (queue.retry(chosen) if again else queue.discard(chosen))

    return with_redis(finish)


def _counted(count: int) -> str:
    return f"{count} {'job is' if count == 1 else 'jobs are'}"


def _fields(dead: "DeadTask") -> dict[str, object]:
    from onionskin.memory.store import kind_of, task_digest

    return {
        "id": task_digest(dead.task),
        "job": kind_of(dead.task),
        "tenant": dead.task.user.tenant,
        "user": dead.task.user.id,
        "session": asdict(dead.task).get("session_id", ""),
        "failures": dead.failures,
        "error": dead.error,
        "given_up": datetime.fromtimestamp(dead.at, UTC).isoformat(timespec="seconds"),
    }
