"""What endpoints ask for, by name."""

from typing import Annotated, cast

from fastapi import Depends, Path, Query, Request

from service import schemas
from service.state import State


def _state(request: Request) -> State:
    return cast("State", request.state.strata)


StateDep = Annotated[State, Depends(_state)]
UserPath = Annotated[schemas.UserId, Path()]
SessionPath = Annotated[schemas.SessionId, Path()]
Limit = Annotated[int, Query(ge=1, le=200, description="The most items of a page.")]
Cursor = Annotated[
    str | None, Query(max_length=100, description="`next_cursor` of the page before.")
]
