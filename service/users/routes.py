"""Endpoints of users: list, settings, statistics, import, export and erasure."""

import secrets
import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from onionskin.memory.time_zones import TimeZone
from onionskin.memory.transfer.exporter import export_user
from onionskin.memory.types.tasks import SummarizeUserTask
from onionskin.service.api_route import ApiRoute
from onionskin.service.dependencies import (
    AdminDep,
    Limit,
    OwnerDep,
    PrincipalDep,
    StateDep,
    StoringDep,
    zones_of,
)
from onionskin.service.errors import problem_responses
from onionskin.service.users.schemas import (
    ErasureReceipt,
    ImportDone,
    UserFigures,
    UserInfo,
    UserPage,
    UserSettings,
    UserSettingsInfo,
    UserSummaryInfo,
)

router = APIRouter(route_class=ApiRoute, prefix="/v1/users", tags=["users"])
_user_router = APIRouter(route_class=ApiRoute, prefix="/{user_id}")
_NDJSON = "application/x-ndjson"
_LINES = {"description": "JSON lines.", "content": {_NDJSON: {"schema": {"type": "string"}}}}
_ANY_LENGTH = 1 << 50  # the body is streamed; only a single line has a maximum length
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
        description="Id of this import, valid for seven days. If the same import is sent again, "
        "lines that are already stored are skipped. Generated if omitted; the answer contains it.",
        examples=["chats-2026-01"],
    ),
]
UserCursor = Annotated[
    str, Query(max_length=256, description="`next_cursor` of the previous page: its last user id.")
]


@_user_router.post(
    "/import",
    openapi_extra=_UPLOAD,
    max_body_size=_ANY_LENGTH,
    responses=problem_responses(409, 422, 507),
)
async def import_conversation(
    user: OwnerDep, request: Request, state: StateDep, import_id: ImportId = None
) -> ImportDone:
    """Import a conversation or an export, one JSON object per line.

    A line of a conversation has `content`, and `role` (`user` or `assistant`), `author`, or both.
    `time` (ISO 8601 or Unix seconds), `metadata` and `session` (a label; each becomes a
    session, and
    the id of a session continues it) are optional. Other lines under the same `import_id` are
    added.
    An export from `/export` is restored with the same sessions, positions, times and memories.
    """
    name = import_id or f"import-{secrets.token_hex(8)}"
    report = await state.importer.run(user, name, request.stream())
    return ImportDone.of(report)


@_user_router.get("/stats", responses=problem_responses(404, 422))
async def get_user_stats(user: OwnerDep, state: StateDep) -> UserFigures:
    """Count the data stored for the user; zeros for an unknown user."""
    return UserFigures.of(user.id, await state.store.users.stats(user))


@_user_router.get("/summary", responses=problem_responses(404, 422))
async def get_user_summary(user: OwnerDep, state: StateDep) -> UserSummaryInfo:
    """Summarize the user over all sessions, from their summaries and the user's memories.

    A background task lets the model write it. Until then, and without a model, it is an extract.
    It is made again once a session or a memory has changed.
    """
    summary = await state.user_summarizer.read(user)
    if summary.is_pending:
        state.tasks.submit(SummarizeUserTask(user))
    return UserSummaryInfo.of(user.id, summary)


@_user_router.get("/settings", responses=problem_responses(404, 422))
async def get_user_settings(
    user: OwnerDep, request: Request, state: StateDep, principal: PrincipalDep
) -> UserSettingsInfo:
    """Read the user's settings, such as the time zone."""
    stored = await state.store.users.time_zone(user)
    zone = zones_of(request, principal).zone(stored, TimeZone.stored(state.settings.timezone))
    return UserSettingsInfo.of(user.id, stored, zone, time.time())


@_user_router.put("/settings", responses=problem_responses(404, 422, 507))
async def put_user_settings(
    user: StoringDep,
    body: UserSettings,
    request: Request,
    state: StateDep,
    principal: PrincipalDep,
) -> UserSettingsInfo:
    """Store the user's settings. They apply from the next turn on.

    The time zone is used for `today` and for the times in prompts, for dates in questions, and in
    the extraction of memories. A message with an offset of its own keeps it.
    """
    name = TimeZone.parse(body.timezone).name if body.timezone is not None else ""
    await state.store.users.set_time_zone(user, name)
    return await get_user_settings(user, request, state, principal)


@_user_router.get(
    "/export",
    response_class=StreamingResponse,
    responses={**problem_responses(404, 422), 200: _LINES},
)
async def export_everything(user: OwnerDep, state: StateDep) -> StreamingResponse:
    """Export all data of the user as JSON lines, which `/import` restores.

    The first line is `onionskin-export`. Each `session` follows with its `message` lines, then each
    `memory` with the `step` lines of its history; the last line is `end`, with the number of lines.
    Equal data give equal bytes. Vectors are not exported; an import computes them again.
    """
    pages = export_user(state.store, user)
    first = await anext(pages)  # raises before the response begins if Redis is down
    headers = {"Content-Disposition": 'attachment; filename="onionskin-export.jsonl"'}
    return StreamingResponse(_with_first(first, pages), media_type=_NDJSON, headers=headers)


@_user_router.delete("", responses=problem_responses(404, 422, 507))
async def erase_everything(user: OwnerDep, state: StateDep) -> ErasureReceipt:
    """Erase all data of the user permanently; a running turn is no longer stored."""
    if state.vector_database:
        await state.vector_database.drop(user)
    erased = await state.store.deletion.erase_user(user)
    if state.vector_database:
        await state.vector_database.drop(user)  # again: a task may have written in between
    await state.records.index(user)  # empties this worker's index; others do so on their next read
    return ErasureReceipt.of(user.id, f"e_{secrets.token_hex(8)}", time.time(), erased)


@router.get("", responses=problem_responses(403, 422))
async def list_all_users(
    principal: AdminDep, state: StateDep, cursor: UserCursor = "", limit: Limit = 50
) -> UserPage:
    """List the users of the tenant who have stored data, sorted by id."""
    ids = await state.store.users.list(principal.tenant, after=cursor, count=limit)
    return UserPage(
        users=[UserInfo(user_id=user_id) for user_id in ids],
        next_cursor=ids[-1] if len(ids) == limit else None,
    )


async def _with_first(first: bytes, pages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for page in pages:
        yield page


router.include_router(_user_router)
