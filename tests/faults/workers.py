"""Worker processes that can be killed one by one, and are replaced."""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.openai_server import OpenAIServer
from tests.services import environment
from tests.support import forkserver


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process that accepts connections."""

    pid: int
    url: str


class Workers:
    """Processes that run `onionskin serve`, each forked from one that has imported it already.

    Args:
        folder: Folder of the workers' files.
        settings: Environment variables of all workers.

    Attributes:
        model: The model server of all workers, unless their settings name another.
        log: Log file of all workers.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str], model: OpenAIServer) -> None:
        self.model = model
        self._folder, self._environment = folder, environment(**settings)
        self.log = folder / "workers.log"
        self._running: list[Worker] = []
        self._starting: list[asyncio.Task[None]] = []

    @property
    def running(self) -> list[Worker]:
        """Running workers, oldest first."""
        return list(self._running)

    @property
    def urls(self) -> list[str]:
        """URLs of the running workers, oldest first."""
        return [worker.url for worker in self._running]

    async def start(self, count: int) -> None:
        """Start workers concurrently."""
        await asyncio.gather(*(self._start() for _ in range(count)))

    async def _start(self) -> None:
        out = self._folder / f"{os.urandom(4).hex()}.out"
        arguments = ["serve", "--port", "0", "--data-dir", str(self._folder)]
        pid = self._fork(arguments, out)
        while not (found := out.exists() and re.search(r"http://\S+", out.read_text())):
            os.kill(pid, 0)  # raises if it died at its start
            await asyncio.sleep(0.01)
        self._running.append(Worker(pid, found[0]))

    def _fork(self, arguments: Sequence[str], out: Path) -> int:
        with (
            Path(os.devnull).open("rb") as nothing,
            out.open("wb") as output,
            self.log.open("ab") as log,
        ):
            process = forkserver.start(
                arguments,
                environment=self._environment,
                folder=Path.cwd(),
                streams=(nothing.fileno(), output.fileno(), log.fileno()),
            )
        return process.pid

    async def kill(self, place: int, how: signal.Signals = signal.SIGKILL) -> None:
        """Kill a worker and start a replacement in the background."""
        worker = self._running.pop(place)
        os.kill(worker.pid, how)
        await _gone(worker.pid)
        self._starting.append(asyncio.create_task(self.start(1)))

    async def replaced(self) -> None:
        """Wait until all replacements run."""
        while self._starting:
            await self._starting.pop()

    async def close(self) -> None:
        """Stop all of them."""
        await self.replaced()
        for worker in self._running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGTERM)
        for worker in self._running:
            await _gone(worker.pid)


async def _gone(pid: int) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return
            await asyncio.sleep(0.005)
