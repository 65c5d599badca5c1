"""Whether the service lives, and whether it can work."""

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from service.dependencies import StateDep
from service.errors import problem_responses
from service.schemas import Health

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> Health:
    """The process answers."""
    return Health(status="ok")


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(state: StateDep) -> Response:
    """This process's figures for Prometheus, in OpenMetrics' text format; nothing personal."""
    return Response(state.telemetry.exposition(), media_type=state.telemetry.content_type)


@router.get("/readyz", responses=problem_responses())
async def readyz(state: StateDep) -> Health:
    """Redis answers, so turns can be served."""
    await state.store.ping()
    return Health(status="ok")
