"""One import for several users: JSON lines that each name their user."""

import secrets
from collections.abc import AsyncIterator
from typing import Any, cast

import msgspec
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from onionskin.memory.errors import InvalidInputError, OnionskinError
from onionskin.memory.transfer.format import read_lines
from onionskin.memory.types.messages import User
from onionskin.service.api_route import ApiRoute
from onionskin.service.auth.principals import Principal
from onionskin.service.dependencies import AdminDep, StateDep
from onionskin.service.errors import problem, problem_responses
from onionskin.service.schemas import Problem, UserId
from onionskin.service.state import State
from onionskin.service.users.routes import ImportId
from onionskin.service.users.schemas import ImportDone

router = APIRouter(route_class=ApiRoute, prefix="/v1/import", tags=["users"])
_LARGEST_BODY, _MOST_USERS = 64 << 20, 10_000
_user_id: TypeAdapter[str] = TypeAdapter(UserId)
_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
_UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-ndjson": {
                "schema": {"type": "string"},
                "example": '{"user": "ann", "role": "user", "content": "Hi."}\n',
            }
        },
    }
}


class UserImport(BaseModel):
    """What an import did for one user: its result, or why it failed."""

    user_id: str
    done: ImportDone | None = None
    error: Problem | None = None


class BatchImportDone(BaseModel):
    """Result of an import for several users."""

    import_id: str
    users: list[UserImport] = Field(description="In the order of their first lines.")


@router.post(
    "",
    openapi_extra=_UPLOAD,
    max_body_size=_LARGEST_BODY,
    responses=problem_responses(403, 413, 422),
)
async def import_for_users(
    principal: AdminDep, request: Request, state: StateDep, import_id: ImportId = None
) -> BatchImportDone:
    """Import conversations of several users, up to 64 MiB.

    The lines are those of an import of one user, each with `user`. Each user's lines are stored as
    an import of their own, in the order of the lines; an error of one does not stop the others. The
    same upload under the same `import_id` stores nothing twice.
    """
    lines = await _lines_by_user(principal, request.stream())
    name = import_id or f"import-{secrets.token_hex(8)}"
    results = [await _import(state, user, name, bytes(raw)) for user, raw in lines.items()]
    return BatchImportDone(import_id=name, users=results)


async def _import(state: State, user: User, import_id: str, lines: bytes) -> UserImport:
    async def chunks() -> AsyncIterator[bytes]:
        yield lines

    await state.pseudonyms.note(user)
    try:
        report = await state.importer.run(user, import_id, chunks())
    except OnionskinError as error:
        return UserImport(user_id=user.id, error=Problem(**problem(error)))
    return UserImport(user_id=user.id, done=ImportDone.of(report))


async def _lines_by_user(
    principal: Principal, chunks: AsyncIterator[bytes]
) -> dict[User, bytearray]:
    """The lines of each user, without `user`.

    Raises:
        InvalidInputError: A line names no user; nothing is stored.
    """
    by_user: dict[User, bytearray] = {}
    number = 0
    async for raw in read_lines(chunks):
        number += 1
        if not raw.strip():
            continue
        try:
            line = _decoder.decode(raw)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise InvalidInputError(f"Line {number} cannot be used: {error}.") from error
        fields = cast("dict[str, Any]", line) if isinstance(line, dict) else {}
        try:
            name = _user_id.validate_python(fields.pop("user", None), strict=True)
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise InvalidInputError(
                f"Line {number} names no valid `user`: {reason}. Nothing is stored."
            ) from error
        by_user.setdefault(principal.user(name), bytearray()).extend(
            msgspec.json.encode(fields) + b"\n"
        )
        if len(by_user) > _MOST_USERS:
            raise InvalidInputError(f"An import may have {_MOST_USERS} users. Nothing is stored.")
    return by_user
