"""What other memories wrote down, brought over: LangChain's histories, mem0's memories.

`onionskin import`: a file of JSON lines sent to the service, with a progress bar.
"""

import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import httpx
from pydantic import AliasChoices, AliasPath, BaseModel, Field, TypeAdapter, ValidationError
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeRemainingColumn,
)

from onionskin.service.console import counted, progress, say, say_json
from onionskin.service.http_client import ServiceError, open_client, refused, unreachable

_CHUNK, _BEGINNING = 1 << 16, 64


@contextmanager
def at_rest(file: Path) -> Generator[Path]:
    """A file that can be read twice: itself, or a copy of a pipe; `-` is standard input."""
    if file.is_file():
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="onionskin-import-") as folder:
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


_BATCH = 100
_ROLES = {
    **dict.fromkeys(("human", "HumanMessageChunk"), "user"),
    **dict.fromkeys(("ai", "AIMessageChunk"), "assistant"),
}


class _Message(BaseModel):
    type: str
    content: Annotated[
        str | list[Any], Field(validation_alias=AliasChoices(AliasPath("data", "content")))
    ]

    @property
    def text(self) -> str:
        """Its text, or that of its parts."""
        if isinstance(self.content, str):
            return self.content
        parts = [part if isinstance(part, str) else part.get("text", "") for part in self.content]
        return "".join(parts)


class _Memory(BaseModel):
    id: str
    content: str = Field(validation_alias=AliasChoices("memory", "text", "content"))


class _Memories(BaseModel):
    results: list[_Memory]


def langchain_lines(file: Path) -> bytes:
    """A file of `messages_to_dict` as JSON lines; what neither a person nor a model said is left.

    Raises:
        ServiceError: it is none.
    """
    try:
        messages = TypeAdapter(list[_Message]).validate_json(file.read_bytes())
    except ValidationError as error:
        raise ServiceError(
            f"{file.name!r} is no list of messages as messages_to_dict writes it: "
            f"{error.errors()[0]['msg']}."
        ) from error
    said = [(_ROLES[one.type], one.text) for one in messages if one.type in _ROLES]
    lines = (json.dumps({"role": role, "content": text}) for role, text in said if text.strip())
    return "".join(f"{line}\n" for line in lines).encode()


def upload_langchain(
    url: str, user: str, file: Path, *, import_id: str | None, as_json: bool = False
) -> None:
    """Store a file of `messages_to_dict` as a session of a user.

    Raises:
        ServiceError: it is none, or the service is away or refuses.
    """
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / file.name
        lines.write_bytes(langchain_lines(file))
        upload(url, user, lines, import_id=import_id, as_json=as_json)


def import_mem0(url: str, user: str, file: Path, *, as_json: bool = False) -> None:
    """Keep what mem0's `get_all` gave as facts of a user; what is there already is not added again.

    Raises:
        ServiceError: it is no such file, or the service is away or refuses.
    """
    try:
        found = TypeAdapter(_Memories | list[_Memory]).validate_json(file.read_bytes())
    except ValidationError as error:
        raise ServiceError(
            f"{file.name!r} holds no memories as mem0's get_all gives them: "
            f"{error.errors()[0]['msg']}."
        ) from error
    memories = found.results if isinstance(found, _Memories) else found
    home = f"/v1/users/{quote(user, safe='')}/memories"
    with open_client(url, timeout=60) as client:
        try:
            there = _there(client, home)
            new = [one for one in memories if one.id not in there and one.content.strip()]
            columns = (TextColumn("importing {task.description}", markup=False), BarColumn())
            with progress(*columns, MofNCompleteColumn()) as shown:
                task = shown.add_task(file.name, total=len(new))
                for start in range(0, len(new), _BATCH):
                    batch = new[start : start + _BATCH]
                    _keep(client, home, batch)
                    shown.advance(task, len(batch))
        except httpx.HTTPError as error:
            raise unreachable(client, error, "Run it again to go on.") from error
    if as_json:
        say_json({"memories": len(new), "there_already": len(memories) - len(new)})
    else:
        stored = counted(len(new), "memory", "memories")
        say(f"{stored} stored, {len(memories) - len(new)} were there already.")


def _there(client: httpx.Client, home: str) -> set[str]:
    """Ids in mem0 of what was brought over before."""
    ids, cursor = set[str](), None
    while True:
        query = {"limit": "200", "include_archived": "true"} | (
            {"cursor": cursor} if cursor else {}
        )
        response = client.get(home, params=query)
        if not response.is_success:
            raise refused(response)
        page = response.json()
        ids |= {str(one["metadata"].get("mem0_id", "")) for one in page["memories"]}
        cursor = page["next_cursor"]
        if not cursor:
            return ids


def _keep(client: httpx.Client, home: str, memories: list[_Memory]) -> None:
    body = [{"content": one.content, "metadata": {"mem0_id": one.id}} for one in memories]
    response = client.post(f"{home}/batch", json={"memories": body})
    if not response.is_success:
        raise refused(response)
