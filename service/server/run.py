"""Runs the service in one process until SIGINT, SIGTERM or SIGHUP."""

import asyncio
import contextlib
import gc
import logging
import math
import signal
import socket
from collections.abc import AsyncGenerator, Generator
from datetime import timedelta

import uvicorn

from onionskin.memory.errors import ConfigurationError
from onionskin.service.app import create_app
from onionskin.service.console import say, say_json
from onionskin.service.container import open_state
from onionskin.service.middleware.trusted_hosts import is_loopback
from onionskin.service.observability.logs import configure
from onionskin.service.server.header_timeout import header_timeout_protocol
from onionskin.service.settings import Settings
from onionskin.service.state import State

_CUT_OFF_SECONDS = 5.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Server(uvicorn.Server):
    """A server that leaves signals to `run`, so that Redis outlives the last request."""

    stopped_at: float | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until asked to exit.

        Raises:
            ConfigurationError: The address is not free.
        """
        logging.getLogger("uvicorn.error").addFilter(_is_no_system_error)
        try:
            await super().serve(sockets)
        except SystemExit as error:  # uvicorn exits if it cannot listen
            raise ConfigurationError(
                f"Cannot listen on {self.config.host}:{self.config.port}: the address is in use or "
                "forbidden. Choose another with --port or ONIONSKIN_PORT."
            ) from error

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Install no signal handlers."""
        yield


def run(
    settings: Settings,
    *,
    insecure: bool,
    workers: int = 1,
    fd: int | None = None,
    as_json: bool = False,
) -> None:
    """Serve until stopped.

    Args:
        settings: See `Settings`.
        insecure: Whether to serve the network without authentication.
        workers: Number of processes.
        fd: Descriptor of a listening socket, inherited from the parent process.
        as_json: Whether to print the address as JSON.

    Raises:
        ConfigurationError: The settings cannot be used, or would open memory to the network.
        EmbeddedRedisError: The embedded Redis cannot be started.
    """
    if settings.auth == "off" and not insecure and not is_loopback(settings.host):
        raise ConfigurationError(
            f"Anyone who reaches {settings.host!r} could read every memory: ONIONSKIN_AUTH is "
            "off. Set it to keys or jwt, listen on 127.0.0.1, or pass --insecure if a proxy "
            "authenticates."
        )
    if settings.demo and not is_loopback(settings.host):
        raise ConfigurationError(
            f"ONIONSKIN_DEMO lets the page kill the service, so it may not listen on "
            f"{settings.host!r}. Listen on 127.0.0.1, or unset ONIONSKIN_DEMO."
        )
    if workers > 1:
        from onionskin.service.server.multiprocess import run_many  # noqa: PLC0415 - rarely needed

        run_many(settings, workers, as_json=as_json)
        return
    configure(settings.log_format, settings.log_level)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        listening = None if fd is None else [socket.socket(fileno=fd)]
        with contextlib.suppress(asyncio.CancelledError):  # stopped before it served
            runner.run(_serve(settings, listening, as_json=as_json))


async def _serve(
    settings: Settings, listening: list[socket.socket] | None, *, as_json: bool
) -> None:
    stop_before_serving()
    async with open_state(settings) as state:

        @contextlib.asynccontextmanager
        async def opened(_: Settings) -> AsyncGenerator[State]:
            yield state

        config = uvicorn.Config(
            create_app(settings, opened),
            host=settings.host,
            port=settings.port,
            http=header_timeout_protocol(settings.head_timeout),
            access_log=False,  # its lines would hold user ids
            log_config=None,
            log_level="warning",
            timeout_graceful_shutdown=math.ceil(settings.drain_timeout.total_seconds()),
        )
        server = Server(config)
        for number in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, _stop, server)
        announcing = asyncio.create_task(_announce(server, settings, as_json=as_json))
        try:
            await server.serve(listening)
        finally:
            announcing.cancel()
            if cut_off := set(server.server_state.tasks):  # they store what was said so far
                await asyncio.wait(cut_off, timeout=_CUT_OFF_SECONDS)
            await state.tasks.drain(_remaining_grace(server, settings.drain_timeout))


def _is_no_system_error(record: logging.LogRecord) -> bool:
    """Drop uvicorn's line about a busy address; our error repeats it."""
    return not isinstance(record.msg, OSError)


def stop_before_serving() -> None:
    """Let a signal cancel the current task, so that what it has started is stopped too."""
    task = asyncio.current_task()
    for number in _SIGNALS:
        if task:
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)


def _stop(server: Server) -> None:
    server.force_exit = server.should_exit  # the second signal forces the exit
    server.should_exit = True
    server.stopped_at = server.stopped_at or asyncio.get_running_loop().time()


def _remaining_grace(server: Server, limit: timedelta) -> timedelta:
    """The part of the drain timeout that requests left; zero after a second signal."""
    if server.force_exit or server.stopped_at is None:
        return timedelta()
    spent = timedelta(seconds=asyncio.get_running_loop().time() - server.stopped_at)
    return max(timedelta(), limit - spent)


async def _announce(server: uvicorn.Server, settings: Settings, *, as_json: bool) -> None:
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    _freeze_imports()
    port = server.servers[0].sockets[0].getsockname()[1]
    redis = "ONIONSKIN_REDIS_URL" if settings.redis_url else f"embedded, in {settings.data_dir}"
    configured = settings.model or settings.model_base_url or settings.openai_api_key
    model = settings.model or ("as configured" if configured else "offline (no key is set)")
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{port}"
    if as_json:
        say_json({"url": url, "redis": redis, "model": model, "embedder": settings.embedder})
        return
    details = f"  redis: {redis}   model: {model}   embedder: {settings.embedder}"
    say(f"Onionskin serves on {url}  (API: /docs)\n{details}")


def _freeze_imports() -> None:
    """Exclude the objects of imported modules from garbage collection."""
    gc.collect()
    gc.freeze()


def loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    """The event loop of uvloop, where it is installed."""
    try:
        import uvloop  # noqa: PLC0415 - not on Windows
    except ImportError:
        return None
    return uvloop.Loop
