"""Memory for a model of one's own."""

from fastapi import APIRouter

from chains.turn import ChatTurn
from service.context_schemas import ContextAnswer, ContextRequest
from service.dependencies import OwnerDep, StateDep
from service.errors import problem_responses

router = APIRouter(prefix="/v1/users/{user_id}/context", tags=["chat"])


@router.post("", responses=problem_responses(404, 409, 413, 422))
async def get_context(user: OwnerDep, body: ContextRequest, state: StateDep) -> ContextAnswer:
    """What a model would be shown for a message. None is asked, and nothing is stored.

    A turn that is answered elsewhere is stored by an import.
    """
    turn = ChatTurn(user, body.message, body.session_id, body.profile)
    return ContextAnswer.of(await state.contexts.recall(turn))
