"""Several server processes on one address and one Redis: `onionskin serve --workers`."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Callable

from onionskin.memory.errors import ConfigurationError
from onionskin.service.console import say, say_json
from onionskin.service.factories import open_redis
from onionskin.service.observability.logs import configure
from onionskin.service.settings import Settings

_MARGIN_SECONDS = 5.0


def run_many(settings: Settings, workers: int, *, as_json: bool) -> None:
    """Serve until stopped; a process that dies is replaced.

    Raises:
        ConfigurationError: The address is not free, or a process cannot serve.
        EmbeddedRedisError: The embedded Redis cannot be started.
    """
    configure(settings.log_format, settings.log_level)
    asyncio.run(_Supervisor(settings, workers, as_json=as_json).serve())


class _Worker:
    """A server process, which prints its address once it serves.

    Args:
        process: The process; its standard output is a pipe.
        on_serving: Called when it serves.
    """

    def __init__(self, process: Process, on_serving: Callable[[], None]) -> None:
        self.process, self._on_serving = process, on_serving
        self._serves = False
        self.ended = asyncio.create_task(process.wait())
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for line in self.process.stdout or ():
            if not self._serves and b"http://" in line:
                self._serves = True
                self._on_serving()

    async def served(self) -> bool:
        """Whether the process served before it ended."""
        await asyncio.wait([self._reading], timeout=_MARGIN_SECONDS)
        return self._serves


class _Supervisor:
    def __init__(self, settings: Settings, workers: int, *, as_json: bool) -> None:
        self._settings, self._size, self._as_json = settings, workers, as_json
        self._stop = asyncio.Event()
        self._workers: list[_Worker] = []
        self._announced = False

    async def serve(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        async with open_redis(self._settings) as url:
            with _listening(self._settings) as listening:
                try:
                    await self._supervise(url, listening)
                finally:
                    await self._stop_workers()

    async def _supervise(self, url: str, listening: socket.socket) -> None:
        """Keep the number of processes until stopped."""
        stopped = asyncio.create_task(self._stop.wait())
        address = "http://{}:{}".format(*listening.getsockname())
        while not stopped.done():
            while len(self._workers) < self._size:
                process = await _start(self._settings, url, listening)
                self._workers.append(_Worker(process, lambda: self._announce(address)))
            ends = [worker.ended for worker in self._workers]
            await asyncio.wait([stopped, *ends], return_when=asyncio.FIRST_COMPLETED)
            if not stopped.done():
                await self._check_ended()

    def _announce(self, url: str) -> None:
        if self._announced:
            return
        self._announced = True
        if self._as_json:
            say_json({"url": url, "workers": self._size})
        else:
            say(f"Onionskin serves on {url}  ({self._size} workers)")

    async def _check_ended(self) -> None:
        """Remove ended processes; one that never served ends the whole server."""
        for worker in [worker for worker in self._workers if worker.ended.done()]:
            self._workers.remove(worker)
            code = worker.ended.result()
            if code > 0 and not await worker.served():
                raise ConfigurationError(f"A worker ended with {code}; see its output above.")

    async def _stop_workers(self) -> None:
        """Stop all processes after their running requests."""
        for worker in self._workers:
            if not worker.ended.done():
                with contextlib.suppress(ProcessLookupError):
                    worker.process.terminate()
        limit = self._settings.drain_timeout.total_seconds() + _MARGIN_SECONDS
        for worker in await self._running_after(limit):
            with contextlib.suppress(ProcessLookupError):
                worker.process.kill()
        await self._running_after(_MARGIN_SECONDS)

    async def _running_after(self, seconds: float) -> list[_Worker]:
        """The processes that still run after so many seconds."""
        ends = [worker.ended for worker in self._workers]
        if ends:
            await asyncio.wait(ends, timeout=seconds)
        return [worker for worker in self._workers if not worker.ended.done()]


async def _start(settings: Settings, url: str, listening: socket.socket) -> Process:
    return await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-P",
            "-m",
            "onionskin.service",
            "serve",
            "--fd",
            str(listening.fileno()),
        ),
        *("--host", settings.host, "--insecure"),  # already checked by this process
        env=os.environ | {"ONIONSKIN_REDIS_URL": url},
        stdout=asyncio.subprocess.PIPE,
        pass_fds=[listening.fileno()],
        start_new_session=True,  # this process forwards Ctrl-C
    )


def _listening(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        raise ConfigurationError(
            f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}. "
            "Choose another address with --port or ONIONSKIN_PORT."
        ) from error
