"""A user as a whole: how much is stored, all of it to take away, all of it erased.

Taking up a user's conversations from elsewhere.

Which users there are.
"""

import secrets
import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from onionskin.memory.store.deletion import erase_user
from onionskin.memory.store.users import list_users, user_stats
from onionskin.memory.transfer.exporter import export_user
from onionskin.service.dependencies import AdminDep, Limit, OwnerDep, StateDep
from onionskin.service.errors import problem_responses
from onionskin.service.users.schemas import (
    ErasureReceipt,
    ImportDone,
    UserFigures,
    UserInfo,
    UserPage,
)

user_data_router = APIRouter(prefix="/v1/users/{user_id}", tags=["users"])
_NDJSON = "application/x-ndjson"
_LINES = {"description": "JSON lines.", "content": {_NDJSON: {"schema": {"type": "string"}}}}


@user_data_router.get("/stats", responses=problem_responses(404, 422))
async def get_user_stats(user: OwnerDep, state: StateDep) -> UserFigures:
    """How much is stored of the user; zeros for one who is not known."""
    return UserFigures.of(user.id, await user_stats(state.store, user))


@user_data_router.get(
    "/export",
    response_class=StreamingResponse,
    responses={**problem_responses(404, 422), 200: _LINES},
)
async def export_everything(user: OwnerDep, state: StateDep) -> StreamingResponse:
    """All that is stored of the user, a JSON object a line: what `/import` restores.

    First `onionskin-export`; then each `session` with its `message` lines; then each `memory` with the
    `step` lines of its history; last `end`, which counts the lines. The same data give the same
    bytes. Vectors are made anew.
    """
    pages = export_user(state.store, user)
    first = await anext(pages)  # a Redis that is away is told before the answer begins
    headers = {"Content-Disposition": 'attachment; filename="onionskin-export.jsonl"'}
    return StreamingResponse(_with_first(first, pages), media_type=_NDJSON, headers=headers)


@user_data_router.delete("", responses=problem_responses(404, 422, 507))
async def erase_everything(user: OwnerDep, state: StateDep) -> ErasureReceipt:
    """Erase all that is stored of the user, for good; a turn under way is not stored any more."""
    if state.vector_database:
        await state.vector_database.drop(user)
    gone = await erase_user(state.store, user)
    if state.vector_database:
        await state.vector_database.drop(user)  # what a job brought there meanwhile
    await state.records.index(user)  # this worker's view empties now, others' when next asked
    return ErasureReceipt.of(user.id, f"e_{secrets.token_hex(8)}", time.time(), gone)


async def _with_first(first: bytes, pages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for page in pages:
        yield page


users_router = APIRouter(prefix="/v1/users/{user_id}", tags=["users"])
_ANY_LENGTH = 1 << 50  # read as it comes; a single line is bounded
_UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-ndjson": {
                "schema": {"type": "string"},
                "example": '{"role": "user", "content": "Hi", "time": "2026-01-31T09:00:00Z"}\n',
            }
        },
    }
}
ImportId = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=128,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="Names this import, so that it can be sent again: what is stored is passed "
        "over. Remembered for seven days. Drawn, and told in the answer, where it is left out.",
        examples=["chats-2026-01"],
    ),
]


@users_router.post(
    "/import",
    openapi_extra=_UPLOAD,
    max_body_size=_ANY_LENGTH,
    responses=problem_responses(409, 422, 507),
)
async def import_conversation(
    user: OwnerDep, request: Request, state: StateDep, import_id: ImportId = None
) -> ImportDone:
    """Store a conversation, a JSON object a line.

    A line has `content`, `role` (`user` or `assistant`) or `author` or both, and optionally `time`
    (ISO 8601 or Unix seconds) and `session` (a label; each becomes a session). What `/export` gave
    is restored: the same sessions, positions, times and memories.
    """
    name = import_id or f"import-{secrets.token_hex(8)}"
    report = await state.importer.run(user, name, request.stream())
    return ImportDone(
        import_id=report.import_id,
        lines=report.lines,
        resumed_after=report.resumed_after,
        messages=report.messages,
        memories=report.memories,
        sessions=list(report.sessions),
    )


user_list_router = APIRouter(prefix="/v1/users", tags=["users"])
UserCursor = Annotated[
    str, Query(max_length=256, description="`next_cursor` of the page before: its last user id.")
]


@user_list_router.get("", responses=problem_responses(403, 422))
async def list_all_users(
    principal: AdminDep, state: StateDep, cursor: UserCursor = "", limit: Limit = 50
) -> UserPage:
    """The users of the tenant who have something stored, sorted by id."""
    found = await list_users(state.store, principal.tenant, after=cursor, count=limit)
    return UserPage(
        users=[UserInfo(user_id=one) for one in found],
        next_cursor=found[-1] if len(found) == limit else None,
    )
