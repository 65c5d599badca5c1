"""What is in use: model, embedder, Redis, profiles."""

import os
from typing import Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, Request

from memory.store.server import server_name
from service.about_schemas import (
    About,
    Caller,
    Demo,
    ModelInUse,
    ProfileInUse,
    RedisInUse,
    RedisKind,
)
from service.choices import model_options
from service.dependencies import PrincipalDep, StateDep
from service.errors import problem_responses
from service.settings import Settings

router = APIRouter(tags=["health"])
_KINDS: dict[str, Literal["sentinel", "cluster"]] = {
    "redis+sentinel": "sentinel",
    "redis+cluster": "cluster",
}


@router.get("/v1/about", responses=problem_responses())
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
