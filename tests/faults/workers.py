"""Worker processes that can be killed one by one, and are replaced."""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.openai_server import OpenAIServer
from tests.services import environment


@dataclass(frozen=True, slots=True)
class Worker:
    """One that listens."""

    pid: int
    url: str


class Workers:
    """Processes that run `onionskin serve`, each forked from one that has imported it already.

    Args:
        folder: for their files.
        settings: environment variables of all of them.

    Attributes:
        model: what stands behind them, unless their settings name another.
        log: what they all say.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str], model: OpenAIServer) -> None:
        self.model = model
        self._folder, self._environment = folder, environment(**settings)
        self.log = folder / "workers.log"
        self._running: list[Worker] = []
        self._starting: list[asyncio.Task[None]] = []
        self._ordering = asyncio.Lock()
        self._nursery = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def running(self) -> list[Worker]:
        """Those that run, the longest running first."""
        return list(self._running)

    @property
    def urls(self) -> list[str]:
        """Where those that run can be reached, the longest running first."""
        return [worker.url for worker in self._running]

    async def start(self, count: int) -> None:
        """Start some, at once."""
        await asyncio.gather(*(self._start() for _ in range(count)))

    async def _start(self) -> None:
        assert self._nursery.stdin
        assert self._nursery.stdout
        out = self._folder / f"{os.urandom(4).hex()}.out"
        order = {
            "environment": self._environment,
            "arguments": ["serve", "--port", "0", "--data-dir", str(self._folder)],
            "out": str(out),
            "log": str(self.log),
        }
        async with self._ordering:  # so that each answer belongs to its order
            print(json.dumps(order), file=self._nursery.stdin, flush=True)
            pid = int(await asyncio.to_thread(self._nursery.stdout.readline))
        while not (found := out.exists() and re.search(r"http://\S+", out.read_text())):
            os.kill(pid, 0)  # raises if it died at its start
            await asyncio.sleep(0.01)
        self._running.append(Worker(pid, found[0]))

    async def kill(self, place: int, how: signal.Signals = signal.SIGKILL) -> None:
        """Kill one of them; another is started in its place, which takes a moment."""
        worker = self._running.pop(place)
        os.kill(worker.pid, how)
        await _gone(worker.pid)
        self._starting.append(asyncio.create_task(self.start(1)))

    async def replaced(self) -> None:
        """Wait for those that were started in the place of others."""
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
        assert self._nursery.stdin
        self._nursery.stdin.close()
        self._nursery.wait(10)


async def _gone(pid: int) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return
            await asyncio.sleep(0.005)
