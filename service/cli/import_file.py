"""`onionskin import`: sends a file to the service, with a progress bar.

It reads JSON lines, LangChain's `messages_to_dict` and mem0's `get_all`.
"""

import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import httpx
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeRemainingColumn,
)

from onionskin.memory.answer_markup import visible_answer
from onionskin.memory.content import stored_text
from onionskin.service.console import counted, progress, say, say_json
from onionskin.service.http_client import ServiceError, open_client, refused, unreachable

_CHUNK_BYTES, _PREFIX_BYTES = 1 << 16, 64
_BATCH = 100
_LONGEST_TAG, _MOST_TAGS = 64, 32
_MEM0_IGNORED = ("hash", "score", "user_id", "score_details")
_EVERY_MEMORY = {
    "include_archived": "true",
    "include_superseded": "true",
    "include_quarantined": "true",
}
_ROLES = {
    **dict.fromkeys(("human", "HumanMessageChunk"), "user"),
    **dict.fromkeys(("ai", "AIMessageChunk"), "assistant"),
}
_RESUME = "Run it again to resume."


@contextmanager
def rereadable(file: Path) -> Generator[Path]:
    """A file that can be read twice: `file` itself, or a copy of a pipe; `-` is standard input."""
    if file.is_file():
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="onionskin-import-") as folder:
        copy = Path(folder) / (file.name if file.name not in {"", "-"} else "standard input")
        with copy.open("wb") as target:
            if str(file) == "-":
                shutil.copyfileobj(sys.stdin.buffer, target)
            else:
                with file.open("rb") as pipe:
                    shutil.copyfileobj(pipe, target)
        yield copy


def import_lines(
    url: str, user: str, file: Path, *, import_id: str | None, as_json: bool = False
) -> None:
    """Import a file of JSON lines.

    Raises:
        ServiceError: The service is unavailable, or a line is invalid.
    """
    with file.open("rb") as opened:
        if opened.read(_PREFIX_BYTES).lstrip().startswith(b"["):
            raise ServiceError(
                f"{file.name} is one JSON array, not JSON lines: name its format with --form "
                "langchain or --form mem0."
            )
    done = _upload(url, user, file, import_id or f"file-{_digest(file)[:24]}")
    if as_json:
        say_json(done)
        return
    resumed = f" (resumed after line {done['resumed_after']})" if done["resumed_after"] else ""
    memory_count = done["memories"]
    memories = f" and {counted(memory_count, 'memory', 'memories')}" if memory_count else ""
    sessions = counted(len(done["sessions"]), "session")
    say(f"{counted(done['messages'], 'message')} stored in {sessions}{memories}{resumed}.")


def import_langchain(
    url: str, user: str, file: Path, *, import_id: str | None, as_json: bool = False
) -> None:
    """Import a file of LangChain's `messages_to_dict` as one session.

    Raises:
        ServiceError: The file is invalid, or the service is unavailable or refuses it.
    """
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / file.name
        lines.write_bytes(langchain_lines(file))
        import_lines(url, user, lines, import_id=import_id, as_json=as_json)


def import_mem0(url: str, user: str, file: Path, *, as_json: bool = False) -> None:
    """Import a file of mem0's `get_all` as facts, with their times, metadata and categories.

    Memories that are stored already, or have expired, are skipped.

    Raises:
        ServiceError: The file is invalid, or the service is unavailable or refuses it.
    """
    memories = _mem0_memories(file)
    path = f"/v1/users/{quote(user, safe='')}/memories"
    with open_client(url, timeout=60) as client:
        try:
            stored = _stored_mem0_ids(client, path)
            new = [
                memory
                for memory in memories
                if memory.id not in stored and memory.content.strip() and not _is_expired(memory)
            ]
            columns = (TextColumn("importing {task.description}", markup=False), BarColumn())
            with progress(*columns, MofNCompleteColumn()) as bar:
                task = bar.add_task(file.name, total=len(new))
                for start in range(0, len(new), _BATCH):
                    batch = new[start : start + _BATCH]
                    _create_memories(client, path, batch)
                    bar.advance(task, len(batch))
        except httpx.HTTPError as error:
            raise unreachable(client, error, _RESUME) from error
    expired = sum(map(_is_expired, memories))
    skipped = len(memories) - len(new) - expired
    if as_json:
        more = {"expired": expired} if expired else {}
        say_json({"memories": len(new), "there_already": skipped, **more})
        return
    more = f", {expired} have expired" if expired else ""
    say(f"{counted(len(new), 'memory', 'memories')} stored, {skipped} were there already{more}.")


def _upload(url: str, user: str, file: Path, import_id: str) -> dict[str, Any]:
    columns = (TextColumn("importing {task.description}", markup=False), BarColumn())
    with (
        progress(*columns, DownloadColumn(), TimeRemainingColumn()) as bar,
        open_client(url, timeout=httpx.Timeout(30, read=None)) as client,
    ):
        task = bar.add_task(file.name, total=file.stat().st_size)

        def chunks() -> Iterator[bytes]:
            with file.open("rb") as opened:
                while chunk := opened.read(_CHUNK_BYTES):
                    yield chunk
                    bar.advance(task, len(chunk))

        try:
            response = client.post(
                f"/v1/users/{quote(user, safe='')}/import",
                params={"import_id": import_id},
                content=chunks(),
                headers={"Content-Type": "application/x-ndjson"},
            )
        except httpx.HTTPError as error:
            raise unreachable(client, error, _RESUME) from error
    if not response.is_success:
        raise refused(response)
    return response.json()


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


class _LangChainMessage(BaseModel):
    type: str
    content: Annotated[
        str | list[Any], Field(validation_alias=AliasChoices(AliasPath("data", "content")))
    ]

    @property
    def text(self) -> str:
        """The text of the message as it is stored."""
        text = stored_text(self.content)
        return visible_answer(text) if _ROLES.get(self.type) == "assistant" else text


_empty_is_none = BeforeValidator(lambda value: value or None)


class _Mem0Memory(BaseModel):
    """A memory as `Memory.get_all`, `MemoryClient.get_all` and exports of mem0 2 write it."""

    model_config = ConfigDict(extra="allow")

    id: str
    content: str = Field(validation_alias=AliasChoices("memory", "text", "content"))
    created_at: Annotated[datetime | None, _empty_is_none] = None
    updated_at: Annotated[datetime | None, _empty_is_none] = None
    expiration_date: Annotated[date | datetime | None, _empty_is_none] = None
    categories: list[str] | None = None
    metadata: dict[str, Any] | None = None

    @property
    def expires(self) -> datetime | None:
        """The time of its expiry; mem0 keeps a memory to the end of the day."""
        last = self.expiration_date
        if last is None or isinstance(last, datetime):
            return last and _aware(last)
        return datetime.combine(last + timedelta(days=1), time(), UTC)

    def body(self) -> dict[str, Any]:
        """The memory as the API takes it; what has no field of its own goes into the metadata."""
        tags = [name for name in self.categories or [] if 0 < len(name.strip()) <= _LONGEST_TAG]
        others = {
            name: value
            for name, value in (self.model_extra or {}).items()
            if value is not None and name not in _MEM0_IGNORED
        }
        times = {"created": self.created_at, "updated": self.updated_at, "expires": self.expires}
        return {
            "content": self.content,
            "tags": list(dict.fromkeys(tags))[:_MOST_TAGS],
            "metadata": {
                **(self.metadata or {}),
                **({"mem0": others} if others else {}),
                "mem0_id": self.id,
            },
            **{name: _aware(at).isoformat() for name, at in times.items() if at is not None},
        }


class _Mem0Results(BaseModel):
    results: list[_Mem0Memory]


def langchain_lines(file: Path) -> bytes:
    """The user's and the model's messages of a `messages_to_dict` file, as JSON lines.

    Raises:
        ServiceError: The file is invalid.
    """
    try:
        messages = TypeAdapter(list[_LangChainMessage]).validate_json(file.read_bytes())
    except ValidationError as error:
        raise ServiceError(
            f"{file.name!r} is not a list of messages as messages_to_dict writes it: "
            f"{error.errors()[0]['msg']}."
        ) from error
    lines = (
        json.dumps({"role": _ROLES[message.type], "content": message.text})
        for message in messages
        if message.type in _ROLES and message.text.strip()
    )
    return "".join(f"{line}\n" for line in lines).encode()


def _mem0_memories(file: Path) -> list[_Mem0Memory]:
    try:
        parsed = TypeAdapter(_Mem0Results | list[_Mem0Memory]).validate_json(file.read_bytes())
    except ValidationError as error:
        raise ServiceError(
            f"{file.name!r} does not hold memories as mem0's get_all writes them: "
            f"{error.errors()[0]['msg']}."
        ) from error
    return parsed.results if isinstance(parsed, _Mem0Results) else parsed


def _aware(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _is_expired(memory: _Mem0Memory) -> bool:
    return memory.expires is not None and memory.expires <= datetime.now(UTC)


def _stored_mem0_ids(client: httpx.Client, path: str) -> set[str]:
    """The mem0 ids of memories that were imported before."""
    ids, cursor = set[str](), None
    while True:
        query = {"limit": "200", **_EVERY_MEMORY} | ({"cursor": cursor} if cursor else {})
        response = client.get(path, params=query)
        if not response.is_success:
            raise refused(response)
        page = response.json()
        ids |= {str(memory["metadata"].get("mem0_id", "")) for memory in page["memories"]}
        cursor = page["next_cursor"]
        if not cursor:
            return ids


def _create_memories(client: httpx.Client, path: str, memories: list[_Mem0Memory]) -> None:
    body = [memory.body() for memory in memories]
    response = client.post(f"{path}/batch", json={"memories": body})
    if not response.is_success:
        raise refused(response)
