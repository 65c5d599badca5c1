"""`strata import`: a file of JSON lines sent to the service, with a progress bar."""

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn

from service.client import ServiceError, open_client, refused, unreachable
from service.printing import counted, progress, say, say_json

_CHUNK, _BEGINNING = 1 << 16, 64


@contextmanager
def at_rest(file: Path) -> Generator[Path]:
    """A file that can be read twice: itself, or a copy of a pipe; `-` is standard input."""
    if file.is_file():
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="strata-import-") as folder:
        copy = Path(folder) / (file.name if file.name not in {"", "-"} else "standard input")
        with copy.open("wb") as written:
            if str(file) == "-":
                shutil.copyfileobj(sys.stdin.buffer, written)
            else:
                with file.open("rb") as pipe:
                    shutil.copyfileobj(pipe, written)
        yield copy


def upload(
    url: str, user: str, file: Path, *, import_id: str | None, as_json: bool = False
) -> None:
    """Send a file of JSON lines, with a progress bar.

    Raises:
        ServiceError: the service is away, or a line cannot be used.
    """
    with file.open("rb") as opened:
        if opened.read(_BEGINNING).lstrip().startswith(b"["):
            raise ServiceError(
                f"{file.name} is one JSON array, not JSON lines: say what wrote it, with --form "
                "langchain or --form mem0."
            )
    name = import_id or f"file-{_digest(file)[:24]}"
    columns = (TextColumn("importing {task.description}", markup=False), BarColumn())
    with (
        progress(*columns, DownloadColumn(), TimeRemainingColumn()) as shown,
        open_client(url, timeout=httpx.Timeout(30, read=None)) as client,
    ):
        task = shown.add_task(file.name, total=file.stat().st_size)

        def chunks() -> Iterator[bytes]:
            with file.open("rb") as opened:
                while chunk := opened.read(_CHUNK):
                    yield chunk
                    shown.advance(task, len(chunk))

        try:
            response = client.post(
                f"/v1/users/{quote(user, safe='')}/import",
                params={"import_id": name},
                content=chunks(),
                headers={"Content-Type": "application/x-ndjson"},
            )
        except httpx.HTTPError as error:
            raise unreachable(client, error, "Run it again to go on.") from error
    if not response.is_success:
        raise refused(response)
    done = response.json()
    if as_json:
        say_json(done)
        return
    resumed = f" (went on after line {done['resumed_after']})" if done["resumed_after"] else ""
    more = done["memories"]
    memories = f" and {counted(more, 'memory', 'memories')}" if more else ""
    sessions = counted(len(done["sessions"]), "session")
    say(f"{counted(done['messages'], 'message')} stored in {sessions}{memories}{resumed}.")


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
