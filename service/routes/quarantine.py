"""Texts that read like instructions: what is held back, and releasing it."""

from fastapi import APIRouter

from memory.store.releasing import release
from service.dependencies import OwnerDep, StateDep
from service.errors import problem_responses
from service.idempotency import IdempotentRoute
from service.quarantine_schemas import Held, HeldText, Released, ReleaseRequest

router = APIRouter(
    route_class=IdempotentRoute, prefix="/v1/users/{user_id}/quarantine", tags=["memories"]
)


@router.get("", responses=problem_responses(404, 422))
async def list_held(user: OwnerDep, state: StateDep) -> Held:
    """What is held back: kept and listed, but shown to no model; nothing where that is off."""
    view = await state.views.now(user)
    return Held(held=[HeldText.of(one) for one in view.quarantine.entries])


@router.post("/release", responses=problem_responses(404, 409, 422, 507))
async def release_held(user: OwnerDep, body: ReleaseRequest, state: StateDep) -> Released:
    """Show these again, and for good; what was not held is passed over."""
    view = await state.views.now(user)
    held = {HeldText.of(one).id for one in view.quarantine.entries}
    ids = [one for one in body.ids if one in held]
    return Released(released=await release(state.store, user, ids) if ids else 0)
