"""A user's sessions: list, read, close, delete.

One turn again: what was said, and what the model was shown.
"""

import time
from typing import Annotated

from fastapi import APIRouter, Path

from onionskin.memory.errors import InvalidInputError
from onionskin.memory.layers.facts import is_always_shown
from onionskin.memory.store.sessions import begin_session, fork_session, note_session
from onionskin.memory.store.transcripts import (
    get_session,
    list_sessions,
    read_entries,
    read_messages,
    read_turn,
)
from onionskin.memory.types.tasks import EmbedTask, SummarizeTask
from onionskin.service.dependencies import (
    Cursor,
    Limit,
    OwnerDep,
    SessionPath,
    StateDep,
    StoringDep,
)
from onionskin.service.errors import problem_responses
from onionskin.service.idempotency import IdempotentRoute
from onionskin.service.memories.queries import MemoryHit
from onionskin.service.memories.schemas import MemoryInfo, TurnId
from onionskin.service.schemas import ChatMessage
from onionskin.service.sessions.schemas import (
    Deleted,
    EarlierSession,
    ForkRequest,
    MessagePage,
    SessionInfo,
    SessionPage,
    SessionPatch,
    SessionStart,
    SessionStarted,
    TurnInfo,
)

_EARLIER, _RELEVANT = 5, 10
sessions_router = APIRouter(
    route_class=IdempotentRoute, prefix="/v1/users/{user_id}/sessions", tags=["sessions"]
)


@sessions_router.get("", responses=problem_responses(422))
async def list_user_sessions(
    user: OwnerDep, state: StateDep, cursor: Cursor = None, limit: Limit = 50
) -> SessionPage:
    """The user's sessions by last activity, the latest first."""
    after = _session_cursor(cursor) if cursor else None
    found = await list_sessions(state.store, user, after=after, count=limit)
    last = f"{found[-1].active!r}:{found[-1].id}" if len(found) == limit else None
    return SessionPage(sessions=[SessionInfo.of(one) for one in found], next_cursor=last)


@sessions_router.get("/{session_id}", responses=problem_responses(404, 422))
async def get_user_session(user: OwnerDep, session_id: SessionPath, state: StateDep) -> SessionInfo:
    """One session, and how far it is folded."""
    return SessionInfo.of(await get_session(state.store, user, session_id))


@sessions_router.get("/{session_id}/messages", responses=problem_responses(404, 422))
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


@sessions_router.post("", status_code=201, responses=problem_responses(404, 422))
async def start_session(
    user: OwnerDep, state: StateDep, body: SessionStart | None = None
) -> SessionStarted:
    """Begin a session, and get what is known of the user as it begins."""
    asked, now, keep = body or SessionStart(), time.time(), state.privacy_policies.default
    earlier = await list_sessions(state.store, user, after=None, count=_EARLIER)
    session = await begin_session(
        state.store,
        user,
        now=now,
        carry=state.settings.carry_sessions,
        title=keep.for_storage(asked.title),
        profile=state.profile_named(asked.profile),
        metadata=keep.redact_json(asked.metadata),
    )
    known = [one for one in await state.records.index(user) if one.is_recalled(now)]
    found = (
        await state.records.search(
            user, asked.message, top_k=_RELEVANT, where=lambda one: one.is_recalled(now)
        )
        if asked.message and asked.message.strip()
        else []
    )
    return SessionStarted(
        session=SessionInfo.of(session),
        earlier=[EarlierSession.of(one) for one in earlier],
        standing=[MemoryInfo.of(one) for one in known if is_always_shown(one)],
        relevant=[MemoryHit.of(one) for one in found],
    )


@sessions_router.patch("/{session_id}", responses=problem_responses(404, 422))
async def change_session(
    user: OwnerDep, session_id: SessionPath, body: SessionPatch, state: StateDep
) -> SessionInfo:
    """Change a session's title or metadata."""
    kept = state.privacy_policies.default.redact_json(
        {"title": body.title, "metadata": body.metadata}
    )
    changed = await note_session(state.store, user, session_id, **kept)
    return SessionInfo.of(changed)


@sessions_router.post("/{session_id}/close", responses=problem_responses(404, 422))
async def close_session(user: OwnerDep, session_id: SessionPath, state: StateDep) -> SessionInfo:
    """Close a session: it can be read and is recalled, but the next turn starts a new one.

    What is not in its summary yet is folded soon after.
    """
    await state.store.close(user, session_id)
    session = await get_session(state.store, user, session_id)
    state.tasks.submit(SummarizeTask(user, session_id, session.profile, final=True))
    return SessionInfo.of(session)


@sessions_router.post("/{session_id}/fork", responses=problem_responses(404, 422, 507))
async def fork_user_session(
    user: StoringDep, session_id: SessionPath, state: StateDep, body: ForkRequest | None = None
) -> SessionInfo:
    """Copy a session into a new one, which goes on by itself; the original stays as it is."""
    asked = body or ForkRequest(messages=None, profile=None)
    profile = state.profile_named(asked.profile)
    forked = await fork_session(
        state.store, user, session_id, now=time.time(), upto=asked.messages, profile=profile
    )
    return SessionInfo.of(forked)


@sessions_router.delete("/{session_id}", responses=problem_responses(404, 422))
async def delete_session(user: OwnerDep, session_id: SessionPath, state: StateDep) -> Deleted:
    """Delete a session whole: its messages, its summary, its vectors, and all recall of them."""
    messages = await state.store.drop(user, session_id)
    if state.vector_database:
        state.tasks.submit(EmbedTask(user))
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


turns_router = APIRouter(prefix="/v1/users/{user_id}/turns", tags=["sessions"])


@turns_router.get("/{turn_id}", responses=problem_responses(404, 422))
async def get_turn(user: OwnerDep, turn_id: Annotated[TurnId, Path()], state: StateDep) -> TurnInfo:
    """What the model was shown for a turn, layer by layer, with scores and tokens.

    It is kept for seven days; the messages stay.
    """
    turn = await read_turn(state.store, user, turn_id)
    recalled = [hit.id for layer in turn.layers or () for hit in layer.hits]
    return TurnInfo.of(turn_id, turn, await read_entries(state.store, user, recalled))
