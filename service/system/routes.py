"""Endpoints of the service itself.

`about_router` is part of the API. `router` has the page and the state of health, `health_router`
the latter alone, for a worker. `demo_router` is mounted only with `ONIONSKIN_DEMO`.
"""

import os
import signal
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, BackgroundTasks, Response

from onionskin.memory.errors import InvalidInputError
from onionskin.service.api_route import ApiRoute
from onionskin.service.dependencies import AdminDep, PrincipalDep, StateDep
from onionskin.service.errors import problem_responses
from onionskin.service.factories import model_options
from onionskin.service.schemas import Problem
from onionskin.service.settings import Settings
from onionskin.service.system import playground
from onionskin.service.system.schemas import (
    About,
    Caller,
    Demo,
    Health,
    Killing,
    KillRequest,
    ModelInUse,
    ProfileInUse,
    RedisInUse,
    RedisKind,
)
from onionskin.service.version import VERSION

router = APIRouter()
about_router = APIRouter(route_class=ApiRoute, tags=["health"])
health_router = APIRouter(route_class=ApiRoute, tags=["health"])
demo_router = APIRouter(prefix="/v1/demo", tags=["demo"])
_METRICS: dict[str, Any] = {
    "description": "OpenMetrics",
    "content": {"application/openmetrics-text": {"schema": {"type": "string"}}},
}
_PROBLEM_SCHEMA: dict[int | str, dict[str, Any]] = {
    401: problem_responses()[401] | {"model": Problem}
}
"""One response with the model puts its schema into the description of any application."""
_REDIS_KINDS: dict[str, Literal["sentinel", "cluster"]] = {
    "redis+sentinel": "sentinel",
    "redis+cluster": "cluster",
}


@about_router.get("/v1/about", responses=problem_responses() | _PROBLEM_SCHEMA)
async def about(principal: PrincipalDep, state: StateDep) -> About:
    """Name the model, embedder, Redis and memory profiles in use; no addresses or secrets."""
    settings, model = state.settings, model_options(state.settings)
    return About(
        version=VERSION,
        model=ModelInUse(name=model.chosen, offline=model.is_offline),
        embedder=settings.embedder,
        redis=RedisInUse(
            kind=_redis_kind(settings), server=await state.store.deployment.server_name()
        ),
        profiles=[ProfileInUse.of(name, profile) for name, profile in state.profiles.items()],
        default_profile=settings.profile,
        auth=settings.auth,
        quarantine=settings.quarantine == "on",
        caller=Caller(tenant=principal.tenant, user_id=principal.user_id),
        demo=Demo(pid=os.getpid()) if settings.demo else None,
    )


def _redis_kind(settings: Settings) -> RedisKind:
    if settings.redis_url is None:
        return "embedded"
    return _REDIS_KINDS.get(urlsplit(settings.redis_url.get_secret_value()).scheme, "server")


@demo_router.post("/kill", status_code=202, responses=problem_responses(403, 422))
async def kill(
    body: KillRequest, state: StateDep, _: AdminDep, background: BackgroundTasks
) -> Killing:
    """Kill the answering process and its embedded Redis with SIGKILL.

    `onionskin demo --web` restarts the process.
    """
    if body.pid != os.getpid():
        raise InvalidInputError(
            f"Process {body.pid} does not serve this request. Read the current id from /v1/about."
        )
    redis_pid = _redis_pid(state.settings)
    background.add_task(_kill, redis_pid)
    return Killing(pid=body.pid, redis_pid=redis_pid)


def _redis_pid(settings: Settings) -> int | None:
    if settings.redis_url is not None:
        return None
    return int(Path(settings.data_dir, "redis.pid").read_text())


async def _kill(redis_pid: int | None) -> None:
    if redis_pid is not None:
        os.kill(redis_pid, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


@health_router.get("/healthz")
async def healthz() -> Health:
    """Report that the process is running."""
    return Health(status="ok")


@health_router.get("/metrics", response_class=Response, responses={200: _METRICS})
async def metrics(state: StateDep) -> Response:
    """Metrics of this process for Prometheus, in OpenMetrics text format; no personal data."""
    return Response(state.metrics.exposition(), media_type=state.metrics.content_type)


@health_router.get("/readyz", responses=problem_responses())
async def readyz(state: StateDep) -> Health:
    """Report that Redis answers, so that turns can be served."""
    await state.store.ping()
    return Health(status="ok")


router.include_router(health_router)
router.include_router(playground.router)
