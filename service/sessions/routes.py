"""Endpoints of a user's sessions and turns."""

import time
from typing import Annotated

from fastapi import APIRouter, Path, Query

from onionskin.memory.errors import InvalidInputError
from onionskin.memory.records import source_removal
from onionskin.memory.retrieval import RecordHit
from onionskin.memory.types.messages import User
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
from onionskin.service.memories.queries import MemoryHit, MemoryView, memory_view
from onionskin.service.memories.schemas import TurnId
from onionskin.service.schemas import finite_number
from onionskin.service.sessions.schemas import (
    BranchRequest,
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
    messages_of,
)
from onionskin.service.state import State

_EARLIER_SESSIONS, _RELEVANT_MEMORIES = 5, 10
router = APIRouter(route_class=IdempotentRoute, prefix="/v1/users/{user_id}", tags=["sessions"])


@router.get("/sessions", responses=problem_responses(422))
async def list_user_sessions(
    user: OwnerDep, state: StateDep, cursor: Cursor = None, limit: Limit = 50
) -> SessionPage:
    """List the user's sessions, most recently active first."""
    after = _session_cursor(cursor) if cursor else None
    sessions = await state.store.sessions.list(user, after=after, count=limit)
    last = f"{sessions[-1].active!r}:{sessions[-1].id}" if len(sessions) == limit else None
    return SessionPage(sessions=[SessionInfo.of(session) for session in sessions], next_cursor=last)


@router.get("/sessions/{session_id}", responses=problem_responses(404, 422))
async def get_user_session(user: OwnerDep, session_id: SessionPath, state: StateDep) -> SessionInfo:
    """Read one session."""
    return SessionInfo.of(await state.store.sessions.get(user, session_id))


@router.get("/sessions/{session_id}/messages", responses=problem_responses(404, 422))
async def list_messages(
    user: OwnerDep,
    session_id: SessionPath,
    state: StateDep,
    cursor: Cursor = None,
    limit: Limit = 50,
    *,
    abandoned: Annotated[
        bool, Query(description="Whether to list messages that were replaced, too.")
    ] = False,
) -> MessagePage:
    """List the session's transcript, oldest message first."""
    start = _position_cursor(cursor) if cursor else 0
    session = await state.store.sessions.get(user, session_id)
    transcripts = state.store.transcripts
    entries = (
        await transcripts.read(user, session_id, start=start, count=limit)
        if abandoned
        else await transcripts.read_live(user, session, start=start, count=limit)
    )
    end = entries[-1].position + 1 if entries else start
    left = session.length - end if abandoned else session.abandoned.count_live(end, session.length)
    return MessagePage(
        messages=messages_of(session, entries), next_cursor=str(end) if left > 0 else None
    )


@router.post("/sessions/{session_id}/restore", responses=problem_responses(404, 422))
async def restore_branch(
    user: OwnerDep, session_id: SessionPath, body: BranchRequest, state: StateDep
) -> SessionInfo:
    """Make an abandoned message part of the conversation again, with its branch.

    The branch is the messages that it followed, itself, and the newest of those that followed it.
    The messages that they compete with are abandoned.
    """
    await state.store.branches.restore(user, session_id, body.position)
    await source_removal.remove_abandoned(state.store, state.indexes, user)
    session = await state.store.sessions.get(user, session_id)
    state.tasks.submit(EmbedTask(user))
    state.tasks.submit(SummarizeTask(user, session_id, session.profile, final=session.closed))
    return SessionInfo.of(session)


@router.post("/sessions", status_code=201, responses=problem_responses(404, 422))
async def start_session(
    user: OwnerDep, state: StateDep, body: SessionStart | None = None
) -> SessionStarted:
    """Begin a session; the answer lists what is known about the user.

    These are earlier sessions, preferences, rules and pinned memories, and memories relevant to
    `message`.
    """
    start, now, privacy = body or SessionStart(), time.time(), state.privacy_policies.default
    earlier = await state.store.sessions.list(user, after=None, count=_EARLIER_SESSIONS)
    session = await state.store.sessions.create(
        user,
        now=now,
        carry=state.settings.carry_sessions,
        title=privacy.for_storage(start.title),
        profile=state.profile_named(start.profile),
        metadata=privacy.redact_json(start.metadata),
    )
    index = await state.records.index(user)
    view = await memory_view(state, user)
    relevant = await _relevant_memories(state, user, start.message or "", view)
    return SessionStarted(
        session=SessionInfo.of(session),
        earlier=[EarlierSession.of(session) for session in earlier],
        standing=[
            view.info(record)
            for record in index
            if record.is_always_shown and view.is_current(record)
        ],
        relevant=[MemoryHit.of(hit, view) for hit in relevant],
    )


async def _relevant_memories(
    state: State, user: User, message: str, view: MemoryView
) -> list[RecordHit]:
    if not message.strip():
        return []
    return await state.records.search(
        user, message, top_k=_RELEVANT_MEMORIES, where=view.is_current
    )


@router.patch("/sessions/{session_id}", responses=problem_responses(404, 422))
async def change_session(
    user: OwnerDep, session_id: SessionPath, body: SessionPatch, state: StateDep
) -> SessionInfo:
    """Change a session's title or metadata.

    Metadata is merged; a null removes its key (RFC 7386).
    """
    fields = {"title": body.title, "metadata": body.metadata}
    redacted = state.privacy_policies.default.redact_json(fields)
    return SessionInfo.of(await state.store.sessions.update(user, session_id, **redacted))


@router.post("/sessions/{session_id}/close", responses=problem_responses(404, 422))
async def close_session(user: OwnerDep, session_id: SessionPath, state: StateDep) -> SessionInfo:
    """Close a session: it stays readable and recalled, but the next turn begins a new session.

    A background task summarizes the rest of it.
    """
    await state.store.sessions.close(user, session_id)
    session = await state.store.sessions.get(user, session_id)
    state.tasks.submit(SummarizeTask(user, session_id, session.profile, final=True))
    return SessionInfo.of(session)


@router.post("/sessions/{session_id}/fork", responses=problem_responses(404, 422, 507))
async def fork_user_session(
    user: StoringDep, session_id: SessionPath, state: StateDep, body: ForkRequest | None = None
) -> SessionInfo:
    """Copy a session into a new, independent one; the original does not change."""
    options = body or ForkRequest(messages=None, profile=None)
    profile = state.profile_named(options.profile)
    original = await state.store.sessions.get(user, session_id)
    copy = await state.store.sessions.fork(
        user, session_id, now=time.time(), upto=options.messages, profile=profile
    )
    await source_removal.add_copied_sources(state.store, state.indexes, user, original, copy)
    return SessionInfo.of(copy)


@router.delete("/sessions/{session_id}", responses=problem_responses(404, 422))
async def delete_session(user: OwnerDep, session_id: SessionPath, state: StateDep) -> Deleted:
    """Delete a session with its messages, summary and vectors; nothing of it is recalled.

    Memories that were drawn from it alone are deleted too; what another session states stays.
    """
    deletion = await source_removal.delete_session(state.store, state.indexes, user, session_id)
    await state.store.users.drop_summary(user)
    if state.vector_database:
        state.tasks.submit(EmbedTask(user))
    return Deleted(session_id=session_id, messages=deletion.messages)


@router.get("/turns/{turn_id}", responses=problem_responses(404, 422))
async def get_turn(user: OwnerDep, turn_id: Annotated[TurnId, Path()], state: StateDep) -> TurnInfo:
    """Read a turn and the content of its prompt, layer by layer, with scores and tokens.

    The prompt is stored for seven days; the messages stay.
    """
    turn = await state.store.transcripts.turn(user, turn_id)
    recalled = [hit.id for layer in turn.layers or () for hit in layer.hits]
    return TurnInfo.of(turn_id, turn, await state.store.transcripts.entries(user, recalled))


def _session_cursor(cursor: str) -> tuple[float, str]:
    active, _, session_id = cursor.partition(":")
    return finite_number(active, cursor), session_id


def _position_cursor(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit()) or len(cursor) > 15:  # noqa: PLR2004
        raise InvalidInputError(f"{cursor!r} is not a cursor of this list.")
    return int(cursor)
