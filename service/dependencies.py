"""Named dependencies of endpoints: the state, the principal, the user, and admission to a turn."""

from typing import Annotated, cast

from fastapi import Depends, Path, Query, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from onionskin.memory.store import keys
from onionskin.memory.store.redis.fair_gate import set_group_of_commands
from onionskin.memory.time_zones import NO_ZONES, UNKNOWN_ZONE, TimeZone, ZoneChoice
from onionskin.memory.types.messages import User
from onionskin.service import schemas
from onionskin.service.auth.principals import Principal
from onionskin.service.limits.headers import Quota, add_quotas
from onionskin.service.state import State


async def _state(request: Request) -> State:  # FastAPI would run a plain function in a thread
    return cast("State", request.state.onionskin)


TIME_ZONE_HEADER = "X-Onionskin-Timezone"
BEARER = "HTTPBearer"
"""Name of the security scheme in the OpenAPI description."""
StateDep = Annotated[State, Depends(_state)]
UserPath = Annotated[schemas.UserId, Path()]
SessionPath = Annotated[schemas.SessionId, Path()]
Limit = Annotated[int, Query(ge=1, le=200, description="Most items of a page.")]
Cursor = Annotated[
    str | None, Query(max_length=100, description="`next_cursor` of the previous page.")
]


class _Credentials(SecurityBase):
    """A dependency without dependencies of its own: FastAPI spends 20 µs per turn on each."""

    scheme_name = BEARER
    model = HTTPBearer(description="An API key or a JSON Web Token.")

    async def __call__(self, request: Request) -> Principal:
        """The principal of the credentials, counted against its rate limit."""
        state = cast("State", request.state.onionskin)
        principal = await state.authenticator.authenticate(request.headers)
        _add_quotas(request, await state.rate_limits.check_principal(principal.id))
        return principal


PrincipalDep = Annotated[Principal, Depends(_Credentials())]
"""The principal of the request; refused with 401 or 429."""


async def admit_user(request: Request, state: State, principal: Principal, user_id: str) -> User:
    """The user of an id, counted against their rate limit.

    Raises:
        UnknownUserError: The principal has no access to the user.
        RateLimitedError: The rate limit is reached.
    """
    user = principal.user(user_id)
    set_group_of_commands(keys.prefix(user))
    await state.pseudonyms.note(user)
    _add_quotas(request, await state.rate_limits.check_user(user))
    return user


async def admit_turn(request: Request, state: State, principal: Principal, user_id: str) -> User:
    """The user of a turn, after rate limit, budget and storage quota, in this order.

    The quotas are shown in the headers of the response, and of an error.

    Raises:
        UnknownUserError: The principal has no access to the user.
        RateLimitedError: The rate limit is reached.
        BudgetSpentError: The day's budget is spent.
        StorageQuotaExceededError: The storage quota is reached.
    """
    user = await admit_user(request, state, principal, user_id)
    _add_quotas(request, await state.budgets.check(user))
    await state.storage_quota.check(user)
    return user


def zones_of(request: Request, principal: Principal) -> ZoneChoice:
    """The time zones of a request: in the header `X-Onionskin-Timezone`, and in the token.

    Raises:
        InvalidTimeZoneError: The header names no time zone. An invalid claim counts as none.
    """
    header = request.headers.get(TIME_ZONE_HEADER, "")
    if not header and not principal.time_zone:
        return NO_ZONES
    requested = TimeZone.parse(header) if header.strip() else UNKNOWN_ZONE
    return ZoneChoice(requested, TimeZone.stored(principal.time_zone))


def _add_quotas(request: Request, quotas: tuple[Quota, ...]) -> None:
    if quotas:
        add_quotas(request.scope, quotas)


async def _owner(
    user_id: UserPath, request: Request, principal: PrincipalDep, state: StateDep
) -> User:
    return await admit_user(request, state, principal, user_id)


OwnerDep = Annotated[User, Depends(_owner)]
"""The user of the path; refused with 404 if the principal has no access."""


async def _storing_owner(user: OwnerDep, state: StateDep) -> User:
    await state.storage_quota.check(user)
    return user


StoringDep = Annotated[User, Depends(_storing_owner)]
"""The user of the path for requests that store; refused with 507 over the storage quota."""


async def _admin(principal: PrincipalDep) -> Principal:
    principal.require_admin()
    return principal


AdminDep = Annotated[Principal, Depends(_admin)]
"""The principal, if it has the scope `admin`; else refused with 403."""
