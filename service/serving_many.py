"""Several processes that serve on one address, before one Redis: `strata serve --workers`."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Sequence

from memory.errors import ConfigurationError
from service.choices import open_redis
from service.logs import configure
from service.printing import say, say_json
from service.settings import Settings

_SOONEST_SECONDS = 5.0
"""A process that ends sooner after its start was not able to serve; another would not be either."""
_MARGIN_SECONDS = 5.0


def run_many(settings: Settings, workers: int, *, as_json: bool) -> None:
    """Serve until stopped; a process that dies is replaced.

    Raises:
        ConfigurationError: nothing can listen there, or a process cannot serve.
        EmbeddedRedisError: the embedded Redis cannot be started.
    """
    configure(settings.log_format, settings.log_level)
    asyncio.run(_Crew(settings, workers, as_json=as_json).serve())


class _Crew:
    def __init__(self, settings: Settings, workers: int, *, as_json: bool) -> None:
        self._settings, self._workers, self._as_json = settings, workers, as_json
        self._stop = asyncio.Event()
        self._running: dict[Process, float] = {}

    async def serve(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        async with open_redis(self._settings) as url:
            with _listening(self._settings) as listening:
                try:
                    await self._keep(url, listening)
                finally:
                    await self._end()

    async def _keep(self, url: str, listening: socket.socket) -> None:
        """So many processes, until the stop."""
        told = False
        while not self._stop.is_set():
            while len(self._running) < self._workers:
                self._running[await _start(self._settings, url, listening)] = time.monotonic()
            if not told:
                self._tell("http://{}:{}".format(*listening.getsockname()))
                told = True
            stopped = asyncio.create_task(self._stop.wait())
            ended = [asyncio.create_task(one.wait()) for one in self._running]
            await asyncio.wait([stopped, *ended], return_when=asyncio.FIRST_COMPLETED)
            for task in (stopped, *ended):
                task.cancel()
            self._bury()

    def _tell(self, url: str) -> None:
        if self._as_json:
            say_json({"url": url, "workers": self._workers})
        else:
            say(f"Strata serves on {url}  ({self._workers} workers)")

    def _bury(self) -> None:
        for process, began in [*self._running.items()]:
            if process.returncode is None or self._stop.is_set():
                continue
            del self._running[process]
            if time.monotonic() - began < _SOONEST_SECONDS and process.returncode > 0:
                raise ConfigurationError(
                    f"A worker ended with {process.returncode}; its reason stands above."
                )

    async def _end(self) -> None:
        """Let all finish what is under way."""
        left = [one for one in self._running if one.returncode is None]
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        bound = self._settings.drain_timeout.total_seconds() + _MARGIN_SECONDS
        await _wait(left, bound)
        for process in left:
            if process.returncode is None:
                process.kill()
        await _wait(left, _MARGIN_SECONDS)


async def _wait(processes: Sequence[Process], seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*(one.wait() for one in processes))


async def _start(settings: Settings, url: str, listening: socket.socket) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service", "serve", "--fd", str(listening.fileno())),
        *("--host", settings.host, "--insecure"),  # it was looked at whether that is wise
        env=os.environ | {"STRATA_REDIS_URL": url},
        stdout=asyncio.subprocess.DEVNULL,
        pass_fds=[listening.fileno()],
        start_new_session=True,  # Ctrl-C in a terminal reaches it through this process
    )


def _listening(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        raise ConfigurationError(
            f"Nothing can listen on {settings.host}:{settings.port}: {error.strerror}. "
            "Choose another with --port or STRATA_PORT."
        ) from error
