"""Whether the service lives, and whether it can work."""

from typing import Any

from fastapi import APIRouter, Response

from service.about_schemas import Health
from service.dependencies import StateDep
from service.errors import problem_responses

router = APIRouter(tags=["health"])
_METRICS: dict[str, Any] = {
    "description": "OpenMetrics",
    "content": {"application/openmetrics-text": {"schema": {"type": "string"}}},
}


@router.get("/healthz")
async def healthz() -> Health:
    """The process answers."""
    return Health(status="ok")


@router.get("/metrics", response_class=Response, responses={200: _METRICS})
async def metrics(state: StateDep) -> Response:
    """This process's figures for Prometheus, in OpenMetrics' text format; nothing personal."""
    return Response(state.telemetry.exposition(), media_type=state.telemetry.content_type)


@router.get("/readyz", responses=problem_responses())
async def readyz(state: StateDep) -> Health:
    """Redis answers, so turns can be served."""
    await state.store.ping()
    return Health(status="ok")
