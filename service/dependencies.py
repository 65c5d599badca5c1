"""What endpoints ask for, by name."""

from typing import Annotated, cast

from fastapi import Depends, Path, Query, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from onionskin.memory.types.messages import User
from onionskin.service import schemas
from onionskin.service.auth.principals import Principal
from onionskin.service.limits.headers import note
from onionskin.service.state import State


async def _state(request: Request) -> State:  # FastAPI would run a plain function in a thread
    return cast("State", request.state.onionskin)


BEARER = "HTTPBearer"
"""The name of the way in which all that is asked of a principal takes its credentials."""
StateDep = Annotated[State, Depends(_state)]
UserPath = Annotated[schemas.UserId, Path()]
SessionPath = Annotated[schemas.SessionId, Path()]
Limit = Annotated[int, Query(ge=1, le=200, description="The most items of a page.")]
Cursor = Annotated[
    str | None, Query(max_length=100, description="`next_cursor` of the page before.")
]


class _Credentials(SecurityBase):
    """One dependency that depends on none: what FastAPI does for each costs a turn 20 µs."""

    scheme_name = BEARER
    model = HTTPBearer(description="An API key or a JSON Web Token.")

    async def __call__(self, request: Request) -> Principal:
        """Who asks."""
        state = cast("State", request.state.onionskin)
        principal = await state.authenticator.authenticate(request.headers)
        note(request, await state.limits.principal(principal.id))
        return principal


PrincipalDep = Annotated[Principal, Depends(_Credentials())]
"""Who asks; refused with 401 or 429."""


async def check_limits(request: Request, state: State, principal: Principal, user_id: str) -> User:
    """The user of an id, if the principal reaches them and they did not ask too often.

    Raises:
        UnknownUserError: the principal does not reach them.
        RateLimitedError: it is one request too many.
    """
    user = principal.user(user_id)
    await state.pseudonyms.note(user)
    note(request, await state.limits.user(user))
    return user


async def _owner(
    user_id: UserPath, request: Request, principal: PrincipalDep, state: StateDep
) -> User:
    return await check_limits(request, state, principal, user_id)


OwnerDep = Annotated[User, Depends(_owner)]
"""The user of the path, if the principal reaches them; else 404."""


async def _storing(user: OwnerDep, state: StateDep) -> User:
    await state.storage_quota.check(user)
    return user


StoringDep = Annotated[User, Depends(_storing)]
"""The same, if they may store more; else 507."""


async def _admin(principal: PrincipalDep) -> Principal:
    principal.must_be_admin()
    return principal


AdminDep = Annotated[Principal, Depends(_admin)]
"""Who asks, with the scope `admin`; else 403."""


async def count_turn(request: Request, state: State, user: User) -> None:
    """Count a turn against what its user and tenant may have.

    Raises:
        BudgetSpentError: nothing is left for it today.
        RoomFullError: nothing more may be stored.
    """
    note(request, await state.budgets.check(user))
    await state.storage_quota.check(user)
