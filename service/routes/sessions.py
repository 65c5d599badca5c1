"""A user's sessions: list, read, close, delete."""

import time

from fastapi import APIRouter

from memory.errors import InvalidInputError
from memory.store.forking import fork_session
from memory.store.reading import get_session, list_sessions, read_messages
from service.dependencies import Cursor, Limit, OwnerDep, SessionPath, StateDep
from service.errors import problem_responses
from service.idempotency import IdempotentRoute
from service.schemas import ChatMessage
from service.session_schemas import Deleted, ForkRequest, MessagePage, SessionInfo, SessionPage

router = APIRouter(
    route_class=IdempotentRoute, prefix="/v1/users/{user_id}/sessions", tags=["sessions"]
)


@router.get("", responses=problem_responses(422))
async def list_user_sessions(
    user: OwnerDep, state: StateDep, cursor: Cursor = None, limit: Limit = 50
) -> SessionPage:
    """The user's sessions by last activity, the latest first."""
    after = _session_cursor(cursor) if cursor else None
    found = await list_sessions(state.store, user, after=after, count=limit)
    last = f"{found[-1].active!r}:{found[-1].id}" if len(found) == limit else None
    return SessionPage(sessions=[SessionInfo.of(one) for one in found], next_cursor=last)


@router.get("/{session_id}", responses=problem_responses(404, 422))
async def get_user_session(user: OwnerDep, session_id: SessionPath, state: StateDep) -> SessionInfo:
    """One session, and how far it is folded."""
    return SessionInfo.of(await get_session(state.store, user, session_id))


@router.get("/{session_id}/messages", responses=problem_responses(404, 422))
async def list_messages(
    user: OwnerDep,
    session_id: SessionPath,
    state: StateDep,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> MessagePage:
    """The session's transcript, the oldest message first."""
    start = _position_cursor(cursor) if cursor else 0
    session = await get_session(state.store, user, session_id)
    found = await read_messages(state.store, user, session_id, start=start, count=limit)
    end = start + len(found)
    return MessagePage(
        messages=[ChatMessage.of(entry) for entry in found],
        next_cursor=str(end) if found and end < session.length else None,
    )


@router.post("/{session_id}/close", responses=problem_responses(404, 422))
async def close_session(user: OwnerDep, session_id: SessionPath, state: StateDep) -> SessionInfo:
    """Close a session: it can be read and is recalled, but the next turn starts a new one."""
    await state.store.close(user, session_id)
    return SessionInfo.of(await get_session(state.store, user, session_id))


@router.post("/{session_id}/fork", responses=problem_responses(404, 422))
async def fork_user_session(
    user: OwnerDep, session_id: SessionPath, state: StateDep, body: ForkRequest | None = None
) -> SessionInfo:
    """Copy a session into a new one, which goes on by itself; the original stays as it is."""
    asked = body or ForkRequest(messages=None, profile=None)
    profile = state.profile_named(asked.profile)
    forked = await fork_session(
        state.store, user, session_id, now=time.time(), upto=asked.messages, profile=profile
    )
    return SessionInfo.of(forked)


@router.delete("/{session_id}", responses=problem_responses(404, 422))
async def delete_session(user: OwnerDep, session_id: SessionPath, state: StateDep) -> Deleted:
    """Delete a session whole: its messages, its summary, its vectors, and all recall of them."""
    messages = await state.store.drop(user, session_id)
    return Deleted(session_id=session_id, messages=messages)


def _session_cursor(cursor: str) -> tuple[float, str]:
    active, _, session_id = cursor.partition(":")
    try:
        return float(active), session_id
    except ValueError as error:
        raise InvalidInputError(f"{cursor!r} is no cursor of this list.") from error


def _position_cursor(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit()) or len(cursor) > 15:  # noqa: PLR2004
        raise InvalidInputError(f"{cursor!r} is no cursor of this list.")
    return int(cursor)
