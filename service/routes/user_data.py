"""A user as a whole: how much is stored, all of it to take away, all of it erased."""

import secrets
import time
from collections.abc import AsyncIterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from memory.exporting import export_user
from memory.store.erasing import erase_user
from memory.store.users import user_stats
from service.dependencies import OwnerDep, StateDep
from service.errors import problem_responses
from service.user_schemas import ErasureReceipt, UserFigures

router = APIRouter(prefix="/v1/users/{user_id}", tags=["users"])
_NDJSON = "application/x-ndjson"
_LINES = {"description": "JSON lines.", "content": {_NDJSON: {"schema": {"type": "string"}}}}


@router.get("/stats", responses=problem_responses(404, 422))
async def get_user_stats(user: OwnerDep, state: StateDep) -> UserFigures:
    """How much is stored of the user; zeros for one who is not known."""
    return UserFigures.of(user.id, await user_stats(state.store, user))


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={**problem_responses(404, 422), 200: _LINES},
)
async def export_everything(user: OwnerDep, state: StateDep) -> StreamingResponse:
    """All that is stored of the user, a JSON object a line: what `/import` restores.

    First `strata-export`; then each `session` with its `message` lines; then each `memory` with the
    `step` lines of its history; last `end`, which counts the lines. The same data give the same
    bytes. Vectors are made anew.
    """
    pages = export_user(state.store, user)
    first = await anext(pages)  # a Redis that is away is told before the answer begins
    headers = {"Content-Disposition": 'attachment; filename="strata-export.jsonl"'}
    return StreamingResponse(_with_first(first, pages), media_type=_NDJSON, headers=headers)


@router.delete("", responses=problem_responses(404, 422, 507))
async def erase_everything(user: OwnerDep, state: StateDep) -> ErasureReceipt:
    """Erase all that is stored of the user, for good; a turn under way is not stored any more."""
    if state.outside:
        await state.outside.drop(user)
    gone = await erase_user(state.store, user)
    if state.outside:
        await state.outside.drop(user)  # what a job brought there meanwhile
    await state.memories.index(user)  # this worker's view empties now, others' when next asked
    return ErasureReceipt.of(user.id, f"e_{secrets.token_hex(8)}", time.time(), gone)


async def _with_first(first: bytes, pages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for page in pages:
        yield page
