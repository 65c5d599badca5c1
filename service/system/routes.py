"""What is in use: model, embedder, Redis, profiles.

The demonstration of continuity: the server dies by SIGKILL. Served only with `ONIONSKIN_DEMO`.

Whether the service lives, and whether it can work.
"""

import os
import signal
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, BackgroundTasks, Request, Response

from onionskin.memory.errors import InvalidInputError
from onionskin.memory.store.redis.connection import server_name
from onionskin.service.dependencies import AdminDep, PrincipalDep, StateDep
from onionskin.service.errors import problem_responses
from onionskin.service.factories import model_options
from onionskin.service.settings import Settings
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

about_router = APIRouter(tags=["health"])
_KINDS: dict[str, Literal["sentinel", "cluster"]] = {
    "redis+sentinel": "sentinel",
    "redis+cluster": "cluster",
}


@about_router.get("/v1/about", responses=problem_responses())
async def about(request: Request, principal: PrincipalDep, state: StateDep) -> About:
    """Which model, embedder, Redis and memory profiles are in use; no address and no secret."""
    settings, model = state.settings, model_options(state.settings)
    return About(
        version=request.app.version,
        model=ModelInUse(name=model.chosen, offline=model.is_offline),
        embedder=settings.embedder,
        redis=RedisInUse(kind=_kind(settings), server=await server_name(state.store.connection)),
        profiles=[ProfileInUse.of(name, profile) for name, profile in state.profiles.items()],
        default_profile=settings.profile,
        auth=settings.auth,
        quarantine=settings.quarantine == "on",
        caller=Caller(tenant=principal.tenant, user_id=principal.user_id),
        demo=Demo(pid=os.getpid()) if settings.demo else None,
    )


def _kind(settings: Settings) -> RedisKind:
    if settings.redis_url is None:
        return "embedded"
    return _KINDS.get(urlsplit(settings.redis_url.get_secret_value()).scheme, "server")


demo_router = APIRouter(prefix="/v1/demo", tags=["demo"])


@demo_router.post("/kill", status_code=202, responses=problem_responses(403, 422))
async def kill(
    body: KillRequest, state: StateDep, _: AdminDep, afterwards: BackgroundTasks
) -> Killing:
    """Kill the process that answers, and its embedded Redis, with SIGKILL.

    `onionskin demo --web` starts it again.
    """
    if body.pid != os.getpid():
        raise InvalidInputError(f"Process {body.pid} does not serve here. Ask /v1/about anew.")
    redis_pid = _redis_pid(state.settings)
    afterwards.add_task(_kill, redis_pid)
    return Killing(pid=body.pid, redis_pid=redis_pid)


def _redis_pid(settings: Settings) -> int | None:
    if settings.redis_url is not None:
        return None
    return int(Path(settings.data_dir, "redis.pid").read_text())


async def _kill(redis_pid: int | None) -> None:
    if redis_pid is not None:
        os.kill(redis_pid, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


health_router = APIRouter(tags=["health"])
_METRICS: dict[str, Any] = {
    "description": "OpenMetrics",
    "content": {"application/openmetrics-text": {"schema": {"type": "string"}}},
}


@health_router.get("/healthz")
async def healthz() -> Health:
    """The process answers."""
    return Health(status="ok")


@health_router.get("/metrics", response_class=Response, responses={200: _METRICS})
async def metrics(state: StateDep) -> Response:
    """This process's figures for Prometheus, in OpenMetrics' text format; nothing personal."""
    return Response(state.telemetry.exposition(), media_type=state.telemetry.content_type)


@health_router.get("/readyz", responses=problem_responses())
async def readyz(state: StateDep) -> Health:
    """Redis answers, so turns can be served."""
    await state.store.ping()
    return Health(status="ok")
