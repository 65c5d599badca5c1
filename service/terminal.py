"""The terminal's side of the service: a conversation, and an upload with a progress bar."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from service.client import ServiceError, detail, open_client, unreachable

_CHUNK = 1 << 16


def converse(url: str, user: str, *, profile: str | None) -> None:
    """Read messages until end of input; show each answer as it comes, and what it drew on."""
    console = Console()
    console.print("[dim]Say something. Ctrl-D ends; what you said stays remembered.[/]")
    with open_client(url, timeout=120) as client:
        while True:
            try:
                message = console.input("[bold cyan]you>[/] ").strip()
            except (EOFError, KeyboardInterrupt):
                console.print()
                return
            if message:
                body = {"user_id": user, "message": message, "profile": profile, "stream": True}
                _show(console, client, body)


def _show(console: Console, client: httpx.Client, body: dict[str, Any]) -> None:
    drew_on = ""
    try:
        for event, data in _events(client, body):
            if event == "memory":
                drew_on = _drew_on(data["memory"])
            elif event == "token":
                console.print(data["text"], end="", markup=False, highlight=False)
            elif event == "error":
                console.print(f"\n[red]{data['detail']}[/]")
                return
    except ServiceError as error:
        console.print(f"\n[red]{error}[/]")
        return
    console.print(f"\n[dim]{drew_on}[/]")


def _events(client: httpx.Client, body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    try:
        with client.stream("POST", "/v1/chat", json=body) as response:
            if not response.is_success:
                response.read()
                raise ServiceError(detail(response))
            event = ""
            for line in response.iter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    event = value
                elif name == "data":
                    yield event, json.loads(value)
    except httpx.HTTPError as error:
        raise ServiceError(unreachable(client, error)) from error


def _drew_on(layers: list[dict[str, Any]]) -> str:
    parts = [
        f"{layer['layer']}: {len(layer['messages'])} messages"
        + (f", {len(layer['recalled'])} recalled" if layer["recalled"] else "")
        + (", a summary" if layer["summary"] else "")
        for layer in layers
        if layer["tokens"]
    ]
    return "memory · " + (" · ".join(parts) or "nothing yet")


def upload(
    url: str, user: str, file: Path, *, import_id: str | None, as_json: bool = False
) -> None:
    """Send a file of JSON lines, with a progress bar.

    Raises:
        ServiceError: the service is away, or a line cannot be used.
    """
    name = import_id or f"file-{_digest(file)[:24]}"
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with (
        Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress,
        open_client(url, timeout=httpx.Timeout(30, read=None)) as client,
    ):
        task = progress.add_task(f"importing {file.name}", total=file.stat().st_size)

        def chunks() -> Iterator[bytes]:
            with file.open("rb") as opened:
                while chunk := opened.read(_CHUNK):
                    yield chunk
                    progress.advance(task, len(chunk))

        try:
            response = client.post(
                f"/v1/users/{quote(user, safe='')}/import",
                params={"import_id": name},
                content=chunks(),
                headers={"Content-Type": "application/x-ndjson"},
            )
        except httpx.HTTPError as error:
            raise ServiceError(f"{unreachable(client, error)} Run it again to go on.") from error
    if not response.is_success:
        raise ServiceError(detail(response))
    if as_json:
        print(response.text)  # noqa: T201
        return
    done = response.json()
    resumed = f" (went on after line {done['resumed_after']})" if done["resumed_after"] else ""
    memories = f" and {done['memories']} memories" if done["memories"] else ""
    sessions = len(done["sessions"])
    Console().print(
        f"{done['messages']} messages stored in {sessions} sessions{memories}{resumed}."
    )


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
