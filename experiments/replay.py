"""Reads the transcript of a user from the running service, as a conversation to play."""

from typing import Any
from urllib.parse import quote

import httpx

from onionskin.experiments.conversations import Conversation, RecordedMessage
from onionskin.memory.errors import OnionskinError
from onionskin.memory.types.messages import Message
from onionskin.service.http_client import open_client, refused, unreachable

_PAGE = 200


class UnreadableUserError(OnionskinError):
    """The user has no messages."""

    code = "unreadable_user"


def read_user(url: str, user: str) -> Conversation:
    """All messages of a user, oldest session first.

    Raises:
        UnreadableUserError: The user has no messages.
        ServiceError: The service is unavailable, or refuses the request.
    """
    base = f"/v1/users/{quote(user, safe='')}/sessions"
    with open_client(url, timeout=60) as client:
        try:
            sessions = _pages(client, base, "sessions")
            messages = [
                RecordedMessage(
                    f"{session['session_id']}:{place}", session["session_id"], _message(item)
                )
                for session in sorted(sessions, key=lambda session: session["created"])
                for place, item in enumerate(
                    _pages(client, f"{base}/{session['session_id']}/messages", "messages")
                )
            ]
        except httpx.HTTPError as error:
            raise unreachable(client, error) from error
    if not messages:
        raise UnreadableUserError(f"The user {user!r} has no messages to replay.")
    return Conversation(user, tuple(messages), ())


def _pages(client: httpx.Client, path: str, name: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        query = {"limit": _PAGE} | ({"cursor": cursor} if cursor else {})
        answer = client.get(path, params=query)
        if not answer.is_success:
            raise refused(answer)
        page = answer.json()
        items += page[name]
        cursor = page["next_cursor"]
        if cursor is None:
            return items


def _message(item: dict[str, Any]) -> Message:
    from datetime import datetime  # noqa: PLC0415

    at = datetime.fromisoformat(item["time"]).timestamp()
    return Message(item["role"], item["content"], at, item.get("author"))
