"""A user's own transcript, read from the running service, as a conversation to play."""

from typing import Any
from urllib.parse import quote

import httpx

from onionskin.experiments.conversations import Conversation, Said
from onionskin.memory.errors import OnionskinError
from onionskin.memory.types.messages import Message
from onionskin.service.http_client import open_client, refused, unreachable

_PAGE = 200


class UnreadableUserError(OnionskinError):
    """The user has said nothing."""

    code = "unreadable_user"


def read_user(url: str, user: str) -> Conversation:
    """Everything a user said and was replied, oldest session first.

    Raises:
        UnreadableUserError: there is nothing to read.
        ServiceError: the service is away, or refuses.
    """
    base = f"/v1/users/{quote(user, safe='')}/sessions"
    with open_client(url, timeout=60) as client:
        try:
            sessions = _pages(client, base, "sessions")
            said = [
                Said(f"{session['session_id']}:{place}", session["session_id"], _message(one))
                for session in sorted(sessions, key=lambda session: session["created"])
                for place, one in enumerate(
                    _pages(client, f"{base}/{session['session_id']}/messages", "messages")
                )
            ]
        except httpx.HTTPError as error:
            raise unreachable(client, error) from error
    if not said:
        raise UnreadableUserError(f"The user {user!r} has said nothing that could be replayed.")
    return Conversation(user, tuple(said), ())


def _pages(client: httpx.Client, path: str, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        asked = {"limit": _PAGE} | ({"cursor": cursor} if cursor else {})
        answer = client.get(path, params=asked)
        if not answer.is_success:
            raise refused(answer)
        page = answer.json()
        found += page[name]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def _message(one: dict[str, Any]) -> Message:
    from datetime import datetime  # noqa: PLC0415

    at = datetime.fromisoformat(one["time"]).timestamp()
    return Message(one["role"], one["content"], at, one.get("author"))
