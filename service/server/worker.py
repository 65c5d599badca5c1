"""`onionskin worker`: a process that only runs background tasks."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator

import uvicorn
from fastapi import FastAPI

from onionskin.memory.errors import ConfigurationError
from onionskin.service.console import say, say_json
from onionskin.service.container import open_state
from onionskin.service.factories import attach_redis
from onionskin.service.observability.logs import configure
from onionskin.service.server.run import Server, loop_factory
from onionskin.service.settings import Settings
from onionskin.service.state import State
from onionskin.service.system.routes import health_router


def run(settings: Settings, *, port: int | None, as_json: bool = False) -> None:
    """Run tasks until stopped.

    Args:
        settings: Settings of the service.
        port: Port for health and metrics; None for no port.
        as_json: Whether to print the address as JSON.

    Raises:
        ConfigurationError: The settings cannot be used.
    """
    configure(settings.log_format, settings.log_level)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_work(settings, port, as_json=as_json))


async def _work(settings: Settings, port: int | None, *, as_json: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with (
        attach_redis(settings) as url,
        open_state(settings, redis_url=url, runs_tasks=True) as state,
        _serving_health(state, settings.host, port) as url,
    ):
        if as_json:
            say_json({"url": url})
        else:
            metrics = "" if url is None else f", metrics on {url}/metrics"
            say(f"Onionskin worker runs{metrics}  (stop: SIGTERM)")
        await stop.wait()
        await state.tasks.drain(settings.drain_timeout)


@contextlib.asynccontextmanager
async def _serving_health(state: State, host: str, port: int | None) -> AsyncGenerator[str | None]:
    """Serve health and metrics; yields the address."""
    if port is None:
        yield None
        return

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[dict[str, State]]:
        yield {"onionskin": state}

    app = FastAPI(title="Onionskin worker", lifespan=lifespan, openapi_url=None)
    app.include_router(health_router)
    config = uvicorn.Config(
        app, host=host, port=port, access_log=False, log_config=None, timeout_graceful_shutdown=1
    )
    server = Server(config)
    serving = asyncio.create_task(server.serve(), name="health")
    try:
        while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event
            await asyncio.sleep(0.01)
        if serving.done():
            await serving
        bound_port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://{host}:{bound_port}"
    finally:
        server.should_exit = True
        with contextlib.suppress(ConfigurationError):
            await serving
