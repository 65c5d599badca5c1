"""One turn again: what was said, and what the model was shown."""

from typing import Annotated

from fastapi import APIRouter, Path

from memory.store.turns import read_entries, read_turn
from service.dependencies import OwnerDep, StateDep
from service.errors import problem_responses
from service.memory_schemas import TurnId
from service.turn_schemas import TurnInfo

router = APIRouter(prefix="/v1/users/{user_id}/turns", tags=["sessions"])


@router.get("/{turn_id}", responses=problem_responses(404, 422))
async def get_turn(user: OwnerDep, turn_id: Annotated[TurnId, Path()], state: StateDep) -> TurnInfo:
    """What the model was shown for a turn, layer by layer, with scores and tokens.

    It is kept for seven days; the messages stay.
    """
    turn = await read_turn(state.store, user, turn_id)
    recalled = [hit.id for layer in turn.layers or () for hit in layer.hits]
    return TurnInfo.of(turn_id, turn, await read_entries(state.store, user, recalled))
