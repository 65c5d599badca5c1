"""Taking up a user's conversations from elsewhere."""

import secrets
from typing import Annotated

from fastapi import APIRouter, Query, Request

from service.dependencies import OwnerDep, StateDep
from service.errors import problem_responses
from service.schemas import ImportDone

router = APIRouter(prefix="/v1/users/{user_id}", tags=["users"])
_ANY_LENGTH = 1 << 50  # read as it comes; a single line is bounded
_LINES = {
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


@router.post(
    "/import",
    openapi_extra=_LINES,
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
