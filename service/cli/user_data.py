"""`onionskin export` and `onionskin erase`: all data of a user."""

import sys
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import httpx
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TransferSpeedColumn,
)

from onionskin.service.console import confirm, counted, progress, remark, say, say_json
from onionskin.service.http_client import open_client, refused, unreachable

_FRAME_LINES = 2
"""The header and the end line of an export."""


def export(url: str, user: str) -> None:
    """Write all data of a user to standard output.

    Raises:
        ServiceError: The service is unavailable, or the connection broke; the output is incomplete.
    """
    lines = 0
    with (
        open_client(url, timeout=httpx.Timeout(30, read=None)) as client,
        _export_progress() as bar,
    ):
        task = bar.add_task(user, total=None)
        try:
            with client.stream("GET", f"/v1/users/{quote(user, safe='')}/export") as response:
                if not response.is_success:
                    response.read()
                    raise refused(response)
                for chunk in response.iter_bytes():
                    sys.stdout.buffer.write(chunk)
                    lines += chunk.count(b"\n")
                    bar.advance(task, len(chunk))
        except httpx.HTTPError as error:
            raise unreachable(client, error, "The output is incomplete.") from error
    sys.stdout.buffer.flush()
    if lines <= _FRAME_LINES:
        remark(f"There are no data of {user!r}.")


def _export_progress() -> Progress:
    """A progress bar of bytes, unless the terminal shows the export itself."""
    columns = (TextColumn("exporting {task.description}", markup=False), DownloadColumn())
    bar = progress(SpinnerColumn(), *columns, TransferSpeedColumn())
    bar.disable = bar.disable or sys.stdout.isatty()
    return bar


def erase(url: str, users: Sequence[str], *, ask: bool, as_json: bool) -> None:
    """Erase all data of users, one user after another, and print each receipt.

    Raises:
        ServiceError: The service is unavailable, or refuses; earlier users are erased.
    """
    if ask:
        names = ", ".join(map(repr, users))
        confirm(f"Erase all data of {names}, for good?")
    receipts = list[dict[str, Any]]()
    columns = (TextColumn("erasing {task.description}", markup=False), BarColumn())
    try:
        with (
            open_client(url, timeout=120) as client,
            progress(*columns, MofNCompleteColumn()) as bar,
        ):
            task = bar.add_task("", total=len(users))
            for user in users:
                bar.update(task, description=user)
                receipts.append(_erase_user(client, user))
                bar.advance(task)
    finally:
        for receipt in receipts:
            if as_json:
                say_json(receipt)
            else:
                say(_receipt_text(receipt))


def _erase_user(client: httpx.Client, user: str) -> dict[str, Any]:
    try:
        response = client.delete(f"/v1/users/{quote(user, safe='')}")
    except httpx.HTTPError as error:
        raise unreachable(client, error) from error
    if not response.is_success:
        raise refused(response)
    return response.json()


def _receipt_text(receipt: dict[str, Any]) -> str:
    kinds = {
        "sessions": "session",
        "messages": "message",
        "memories": "memory",
        "vectors": "vector",
    }
    parts = (counted(receipt[plural], singular, plural) for plural, singular in kinds.items())
    return f"{receipt['user_id']!r} is erased: {', '.join(parts)}. Receipt {receipt['receipt_id']}."
