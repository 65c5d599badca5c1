"""The demonstration of continuity: the server dies by SIGKILL. Served only with `STRATA_DEMO`."""

import os
import signal
from pathlib import Path

from fastapi import APIRouter, BackgroundTasks

from memory.errors import InvalidInputError
from service.about_schemas import Killing, KillRequest
from service.dependencies import AdminDep, StateDep
from service.errors import problem_responses
from service.settings import Settings

router = APIRouter(prefix="/v1/demo", tags=["demo"])


@router.post("/kill", status_code=202, responses=problem_responses(403, 422))
async def kill(
    body: KillRequest, state: StateDep, _: AdminDep, afterwards: BackgroundTasks
) -> Killing:
    """Kill the process that answers, and its embedded Redis, with SIGKILL.

    `strata demo --web` starts it again.
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
