"""Which users there are."""

from typing import Annotated

from fastapi import APIRouter, Query

from memory.store.users import list_users
from service.dependencies import AdminDep, Limit, StateDep
from service.errors import problem_responses
from service.user_schemas import UserInfo, UserPage

router = APIRouter(prefix="/v1/users", tags=["users"])
UserCursor = Annotated[
    str, Query(max_length=256, description="`next_cursor` of the page before: its last user id.")
]


@router.get("", responses=problem_responses(403, 422))
async def list_all_users(
    principal: AdminDep, state: StateDep, cursor: UserCursor = "", limit: Limit = 50
) -> UserPage:
    """The users of the tenant who have something stored, sorted by id."""
    found = await list_users(state.store, principal.tenant, after=cursor, count=limit)
    return UserPage(
        users=[UserInfo(user_id=one) for one in found],
        next_cursor=found[-1] if len(found) == limit else None,
    )
