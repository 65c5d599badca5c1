"""Running the service: one process, its Redis stopped with it on SIGINT, SIGTERM and SIGHUP."""

import asyncio
import contextlib
import ipaddress
import signal
from collections.abc import AsyncGenerator, Generator

import uvicorn

from memory.errors import ConfigurationError
from service.app import create_app
from service.logs import configure
from service.opening import open_state
from service.settings import Settings
from service.state import State

_GRACE_SECONDS = 10


class _Server(uvicorn.Server):
    """A server whose signals are handled by `serve`, so that Redis outlives the last request."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def run(settings: Settings, *, insecure: bool) -> None:
    """Serve until stopped.

    Raises:
        ConfigurationError: the settings cannot be used, or would open memory to the network.
        EmbeddedRedisError: the embedded Redis cannot be started.
    """
    if settings.auth == "off" and not insecure and not _is_loopback(settings.host):
        raise ConfigurationError(
            f"Anyone who reaches {settings.host!r} could read every memory: STRATA_AUTH is "
            "off. Set it to keys or jwt, listen on 127.0.0.1, or say --insecure if something else "
            "guards it."
        )
    configure(settings.log_format, settings.log_level)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    async with open_state(settings) as state:

        @contextlib.asynccontextmanager
        async def opened(_: Settings) -> AsyncGenerator[State]:
            yield state

        config = uvicorn.Config(
            create_app(settings, opened),
            host=settings.host,
            port=settings.port,
            access_log=False,  # its lines would hold user ids
            log_config=None,
            log_level="warning",
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        server = _Server(config)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, _stop, server)
        announcing = asyncio.create_task(_announce(server, settings))
        try:
            await server.serve()
        except SystemExit as error:  # uvicorn's way of saying that it cannot listen
            raise ConfigurationError(
                f"Nothing can listen on {settings.host}:{settings.port}: it is taken or forbidden. "
                "Choose another with --port or STRATA_PORT."
            ) from error
        finally:
            announcing.cancel()


def _stop(server: uvicorn.Server) -> None:
    server.force_exit = server.should_exit  # asked twice
    server.should_exit = True


async def _announce(server: uvicorn.Server, settings: Settings) -> None:
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    redis = "STRATA_REDIS_URL" if settings.redis_url else f"embedded, in {settings.data_dir}"
    configured = settings.model or settings.model_base_url or settings.openai_api_key
    model = settings.model or ("as configured" if configured else "offline (no key is set)")
    print(f"Strata serves on http://{settings.host}:{port}  (API: /docs)")  # noqa: T201
    print(f"  redis: {redis}   model: {model}   embedder: {settings.embedder}", flush=True)  # noqa: T201


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - not on Windows
    except ImportError:
        return None
    return uvloop.Loop
