"""The terminal's side of a user as a whole: an export to standard output, and an erasure."""

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
"""The first and the last line of an export: what it is, and how long."""


def export(url: str, user: str) -> None:
    """Write all that is stored of a user to standard output.

    Raises:
        ServiceError: the service is away, or broke off; what was written is not complete then.
    """
    lines = 0
    with (
        open_client(url, timeout=httpx.Timeout(30, read=None)) as client,
        _growing() as shown,
    ):
        task = shown.add_task(user, total=None)
        try:
            with client.stream("GET", f"/v1/users/{quote(user, safe='')}/export") as response:
                if not response.is_success:
                    response.read()
                    raise refused(response)
                for chunk in response.iter_bytes():
                    sys.stdout.buffer.write(chunk)
                    lines += chunk.count(b"\n")
                    shown.advance(task, len(chunk))
        except httpx.HTTPError as error:
            raise unreachable(client, error, "What was written is not complete.") from error
    sys.stdout.buffer.flush()
    if lines <= _FRAME_LINES:
        remark(f"Nothing is stored of {user!r}.")


def _growing() -> Progress:
    """Bytes and their speed, unless the terminal shows the export itself."""
    columns = (TextColumn("exporting {task.description}", markup=False), DownloadColumn())
    made = progress(SpinnerColumn(), *columns, TransferSpeedColumn())
    made.disable = made.disable or sys.stdout.isatty()
    return made


def erase(url: str, users: Sequence[str], *, ask: bool, as_json: bool) -> None:
    """Erase all that is stored of users, one after the other, and print each receipt.

    Raises:
        ServiceError: the service is away, or refuses; those before were erased.
    """
    if ask:
        named = ", ".join(map(repr, users))
        confirm(f"Erase all that is stored of {named}, for good?")
    receipts = list[dict[str, Any]]()
    columns = (TextColumn("erasing {task.description}", markup=False), BarColumn())
    try:
        with (
            open_client(url, timeout=120) as client,
            progress(*columns, MofNCompleteColumn()) as shown,
        ):
            task = shown.add_task("", total=len(users))
            for user in users:
                shown.update(task, description=user)
                receipts.append(_erased(client, user))
                shown.advance(task)
    finally:
        for receipt in receipts:
            if as_json:
                say_json(receipt)
            else:
                say(_told(receipt))


def _erased(client: httpx.Client, user: str) -> dict[str, Any]:
    try:
        response = client.delete(f"/v1/users/{quote(user, safe='')}")
    except httpx.HTTPError as error:
        raise unreachable(client, error) from error
    if not response.is_success:
        raise refused(response)
    return response.json()


_COUNTED = {
    "session": "sessions",
    "message": "messages",
    "memory": "memories",
    "vector": "vectors",
}


def _told(receipt: dict[str, Any]) -> str:
    kinds = {
        "sessions": "session",
        "messages": "message",
        "memories": "memory",
        "vectors": "vector",
    }
    parts = (counted(receipt[many], one, many) for many, one in kinds.items())
    return f"{receipt['user_id']!r} is erased: {', '.join(parts)}. Receipt {receipt['receipt_id']}."
