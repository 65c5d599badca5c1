"""Operations of the API: the request to send and how to decode its answer. Performs no I/O."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast
from urllib.parse import quote

from onionskin.client.results import (
    Appended,
    Context,
    ErasureReceipt,
    ImportResult,
    Memory,
    MemoryHit,
    Message,
    MessageHit,
    Page,
    Reply,
    Session,
    UserFigures,
    UserSummary,
    decode,
    decoder,
)

T = TypeVar("T")
_Method: TypeAlias = Literal["GET", "POST", "PATCH", "DELETE"]


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """One request.

    Attributes:
        decode: Makes the result from the decoded JSON.
        repeatable: Whether the request may be sent again if its answer was lost.
    """

    method: _Method
    path: str
    decode: Callable[[Any], T]
    body: Mapping[str, Any] | None = None
    params: Mapping[str, str | int] = field(default_factory=dict[str, str | int])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    repeatable: bool = True


def chat(user_id: str, message: str, key: str | None = None, **options: Any) -> Operation[Reply]:
    """Run a turn; its idempotency key makes a retry safe."""
    body = {"user_id": user_id, "message": message, **_without_none(options)}
    headers = {"Idempotency-Key": key or secrets.token_hex(16)}
    return Operation("POST", "/v1/chat", decoder(Reply), body, headers=headers)


def sessions(user_id: str, *, cursor: str | None, limit: int) -> Operation[Page[Session]]:
    """List a page of sessions."""
    page = _page("sessions", Session)
    return Operation("GET", _user_path(user_id, "sessions"), page, params=_paging(cursor, limit))


def session(user_id: str, session_id: str) -> Operation[Session]:
    """Read one session."""
    return Operation("GET", _user_path(user_id, "sessions", session_id), decoder(Session))


def messages(
    user_id: str, session_id: str, *, cursor: str | None, limit: int
) -> Operation[Page[Message]]:
    """List a page of a session's transcript."""
    path = _user_path(user_id, "sessions", session_id, "messages")
    return Operation("GET", path, _page("messages", Message), params=_paging(cursor, limit))


def close_session(user_id: str, session_id: str) -> Operation[Session]:
    """Close a session."""
    path = _user_path(user_id, "sessions", session_id, "close")
    return Operation("POST", path, decoder(Session))


def delete_session(user_id: str, session_id: str) -> Operation[int]:
    """Delete a session; the result is the number of deleted messages."""
    path = _user_path(user_id, "sessions", session_id)
    return Operation("DELETE", path, lambda answer: answer["messages"], repeatable=False)


def remember(user_id: str, content: str, **fields: Any) -> Operation[Memory]:
    """Create a memory."""
    body = {"content": content, **_without_none(fields)}
    headers = {"Idempotency-Key": secrets.token_hex(16)}
    path = _user_path(user_id, "memories")
    return Operation("POST", path, decoder(Memory), body, headers=headers)


def memories(
    user_id: str, *, cursor: str | None, limit: int, **filters: Any
) -> Operation[Page[Memory]]:
    """List a page of memories."""
    params = _paging(cursor, limit)
    params |= {name: str(value) for name, value in _without_none(filters).items()}
    page = _page("memories", Memory)
    return Operation("GET", _user_path(user_id, "memories"), page, params=params)


def memory(user_id: str, memory_id: str) -> Operation[Memory]:
    """Read one memory."""
    return Operation("GET", _user_path(user_id, "memories", memory_id), decoder(Memory))


def context(user_id: str, message: str, **options: Any) -> Operation[Context]:
    """Read the memory for a message."""
    body = {"message": message, **_without_none(options)}
    return Operation("POST", _user_path(user_id, "context"), decoder(Context), body)


def append(
    user_id: str,
    session_id: str,
    messages: Sequence[Mapping[str, Any]],
    key: str | None = None,
    **options: Any,
) -> Operation[Appended]:
    """Append messages to a session; the idempotency key makes a retry safe."""
    body = {
        "messages": [_without_none(message) for message in messages],
        **_without_none(options),
    }
    headers = {"Idempotency-Key": key or secrets.token_hex(16)}
    path = _user_path(user_id, "sessions", session_id, "messages")
    return Operation("POST", path, decoder(Appended), body, headers=headers)


def search(user_id: str, query: str, **filters: Any) -> Operation[Page[MessageHit]]:
    """Search conversations, best match first."""
    body = {"query": query, **_without_none(filters)}
    return Operation("POST", _user_path(user_id, "search"), _page("hits", MessageHit), body)


def search_memories(user_id: str, query: str, **filters: Any) -> Operation[tuple[MemoryHit, ...]]:
    """Search memories, best match first."""
    body = {"query": query, **_without_none(filters)}
    path = _user_path(user_id, "memories", "search")
    return Operation("POST", path, lambda answer: _items(MemoryHit, answer["hits"]), body)


def change(user_id: str, memory_id: str, fields: Mapping[str, Any]) -> Operation[Memory]:
    """Change the given fields of a memory; None is sent as a value."""
    body = {name: _json(value) for name, value in fields.items()}
    return Operation("PATCH", _user_path(user_id, "memories", memory_id), decoder(Memory), body)


def forget(user_id: str, memory_id: str) -> Operation[int]:
    """Delete a memory; the result is the number of deleted memories."""
    path = _user_path(user_id, "memories", memory_id)
    return Operation("DELETE", path, lambda answer: answer["deleted"], repeatable=False)


def figures(user_id: str) -> Operation[UserFigures]:
    """Read the amount of data stored for a user."""
    return Operation("GET", _user_path(user_id, "stats"), decoder(UserFigures))


def summary(user_id: str) -> Operation[UserSummary]:
    """Read the summary of a user."""
    return Operation("GET", _user_path(user_id, "summary"), decoder(UserSummary))


def erase(user_id: str) -> Operation[ErasureReceipt]:
    """Erase all data of a user."""
    return Operation("DELETE", _user_path(user_id), decoder(ErasureReceipt), repeatable=False)


def import_lines(user_id: str, import_id: str | None) -> Operation[ImportResult]:
    """Import JSON lines; the transport sends them as the body."""
    params: dict[str, str | int] = {"import_id": import_id} if import_id else {}
    path = _user_path(user_id, "import")
    return Operation("POST", path, decoder(ImportResult), params=params, repeatable=False)


def export_path(user_id: str) -> str:
    """Path of a user's export."""
    return _user_path(user_id, "export")


def _user_path(user_id: str, *parts: str) -> str:
    return "/".join(("/v1/users", *(quote(part, safe="") for part in (user_id, *parts))))


def _paging(cursor: str | None, limit: int) -> dict[str, str | int]:
    return {"limit": limit} | ({"cursor": cursor} if cursor else {})


def _page(name: str, kind: type[T]) -> Callable[[Any], Page[T]]:
    return lambda answer: Page(_items(kind, answer[name]), answer["next_cursor"])


def _items(kind: type[T], items: list[Any]) -> tuple[T, ...]:
    return tuple(decode(kind, item) for item in items)


def _without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _json(value) for name, value in fields.items() if value is not None}


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return list(cast("tuple[Any, ...]", value)) if isinstance(value, tuple) else value
