"""The operations of the API: what is sent, and what is made of the answer. Nothing is sent here."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, TypeAlias, TypeVar
from urllib.parse import quote

from onionskin.client.parsing import parsed, parser
from onionskin.client.results import (
    Found,
    Imported,
    Memory,
    Message,
    Page,
    Receipt,
    Reply,
    Session,
    UserFigures,
)

T = TypeVar("T")
_Method: TypeAlias = Literal["GET", "POST", "PATCH", "DELETE"]


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request.

    Attributes:
        read: makes the result of the decoded answer.
        repeatable: whether it may be sent again when its answer got lost.
    """

    method: _Method
    path: str
    read: Callable[[Any], T]
    body: Mapping[str, Any] | None = None
    params: Mapping[str, str | int] = field(default_factory=dict[str, str | int])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    repeatable: bool = True


def chat(user_id: str, message: str, key: str | None = None, **options: Any) -> Call[Reply]:
    """A turn; named by a key, so that it is done once however often it is sent."""
    body = {"user_id": user_id, "message": message, **_given(options)}
    headers = {"Idempotency-Key": key or secrets.token_hex(16)}
    return Call("POST", "/v1/chat", parser(Reply), body, headers=headers)


def sessions(user_id: str, *, cursor: str | None, limit: int) -> Call[Page[Session]]:
    """A page of sessions."""
    page = _page("sessions", Session)
    return Call("GET", _user(user_id, "sessions"), page, params=_paging(cursor, limit))


def session(user_id: str, session_id: str) -> Call[Session]:
    """One session."""
    return Call("GET", _user(user_id, "sessions", session_id), parser(Session))


def messages(
    user_id: str, session_id: str, *, cursor: str | None, limit: int
) -> Call[Page[Message]]:
    """A page of a session's transcript."""
    path, page = _user(user_id, "sessions", session_id, "messages"), _page("messages", Message)
    return Call("GET", path, page, params=_paging(cursor, limit))


def close_session(user_id: str, session_id: str) -> Call[Session]:
    """Close a session."""
    return Call("POST", _user(user_id, "sessions", session_id, "close"), parser(Session))


def delete_session(user_id: str, session_id: str) -> Call[int]:
    """Delete a session; how many messages went."""
    path = _user(user_id, "sessions", session_id)
    return Call("DELETE", path, lambda found: found["messages"], repeatable=False)


def remember(user_id: str, content: str, **fields: Any) -> Call[Memory]:
    """Keep a memory."""
    body = {"content": content, **_given(fields)}
    headers = {"Idempotency-Key": secrets.token_hex(16)}
    return Call("POST", _user(user_id, "memories"), parser(Memory), body, headers=headers)


def memories(user_id: str, *, cursor: str | None, limit: int, **wanted: Any) -> Call[Page[Memory]]:
    """A page of memories."""
    params = {**_paging(cursor, limit), **{name: str(one) for name, one in _given(wanted).items()}}
    return Call("GET", _user(user_id, "memories"), _page("memories", Memory), params=params)


def memory(user_id: str, memory_id: str) -> Call[Memory]:
    """One memory."""
    return Call("GET", _user(user_id, "memories", memory_id), parser(Memory))


def search(user_id: str, query: str, **wanted: Any) -> Call[tuple[Found, ...]]:
    """The memories that answer a query best."""
    body = {"query": query, **_given(wanted)}
    path = _user(user_id, "memories", "search")
    return Call("POST", path, lambda found: _all(Found, found["hits"]), body)


def change(user_id: str, memory_id: str, fields: Mapping[str, Any]) -> Call[Memory]:
    """Change what is named of a memory; None is a value."""
    path = _user(user_id, "memories", memory_id)
    return Call("PATCH", path, parser(Memory), {name: _json(one) for name, one in fields.items()})


def forget(user_id: str, memory_id: str) -> Call[int]:
    """Delete a memory; how many went."""
    path = _user(user_id, "memories", memory_id)
    return Call("DELETE", path, lambda found: found["deleted"], repeatable=False)


def figures(user_id: str) -> Call[UserFigures]:
    """How much is stored."""
    return Call("GET", _user(user_id, "stats"), parser(UserFigures))


def erase(user_id: str) -> Call[Receipt]:
    """Erase all of a user."""
    return Call("DELETE", _user(user_id), parser(Receipt), repeatable=False)


def export_path(user_id: str) -> str:
    """Where all of a user is, as JSON lines."""
    return _user(user_id, "export")


def import_path(user_id: str) -> str:
    """Where JSON lines are taken up."""
    return _user(user_id, "import")


def imported(found: Any) -> Imported:
    """How an import ended."""
    return parsed(Imported, found)


def _user(user_id: str, *parts: str) -> str:
    return "/".join(("/v1/users", *(quote(part, safe="") for part in (user_id, *parts))))


def _paging(cursor: str | None, limit: int) -> dict[str, str | int]:
    return {"limit": limit} | ({"cursor": cursor} if cursor else {})


def _page(name: str, kind: type[T]) -> Callable[[Any], Page[T]]:
    return lambda found: Page(_all(kind, found[name]), found["next_cursor"])


def _all(kind: type[T], items: list[Any]) -> tuple[T, ...]:
    return tuple(parsed(kind, one) for one in items)


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What is not left out."""
    return {name: _json(one) for name, one in fields.items() if one is not None}


def _json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
